#!/bin/bash
# Shows that the model finds faults: puts one fault after the other into a copy of the sources, and runs
# the model on it. The exit code is 0 if each fault was found. If a fault cannot be put in, because the
# code has changed, that is an error: adapt its line below.
set -euo pipefail
cd "$(dirname "$0")/../.."
programs=${1:-3000}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp --parents $(git ls-files '*.c' '*.h' tests/Makefile) "$copy"
cd "$copy"

applied=0 survivors=0
# mutant BACKEND FILE 'perl program, on the whole file' WHAT [MODEL]...
mutant() {
    local backend=$1 file=$2 program=$3 what=$4 model
    shift 4
    cp $file original
    perl -0pe "$program" original >$file
    cmp -s $file original && {
        echo "mutants: cannot be put in: $what" >&2
        exit 1
    }
    applied=$((applied + 1))
    for model in "${@:-model}"; do
        make -s -f tests/Makefile BACKEND=$backend CFLAGS=-w build/$backend/$model
        build/$backend/$model find "$programs" >log 2>&1 || {
            echo "found     $backend: $what ($(grep -m1 WRONG log || echo 'a crash'))"
            cp original $file
            return
        }
    done
    survivors=$((survivors + 1))
    echo "SURVIVES  $backend: $what"
    cp original $file
}

# Faults of the timers, many of which need small blocks.
timers() {
    mutant epoll ae.c "$1" "$2" model_small model
}

# File events
mutant epoll ae.c 's/if \(eventLoop->ended != endedAtPoll\) mask = lookAgain.*?;//s' \
    'stale readiness is delivered to a new registration'
mutant epoll ae.c 's/if \(!eventLoop->ready\) return;\s*if \(eventLoop->ended != ended\).*?;//s' \
    'the second handler ignores what the first one did'
mutant epoll ae.c 's/ && second != first//' \
    'one function for both is called twice'
mutant epoll ae.c 's/eventLoop->ready = 0;//' \
    'an outer pass goes on with the events of a nested one'
mutant epoll ae.c 's/slot->mask & mask & \(writesFirst \? AE_READABLE : AE_WRITABLE\)/1/' \
    'a second handler is called though it was deleted'
mutant epoll ae.c 's/int writesFirst = .*/int writesFirst = 0;/' \
    'the barrier is ignored'
mutant epoll ae.c 's/mask & AE_WRITABLE \? AE_BARRIER : AE_NONE/0/' \
    'the barrier outlives the write handler'
mutant epoll ae.c 's/if \(!\(left & AE_BOTH\)\) left = AE_NONE;//' \
    'the barrier outlives both handlers'
mutant epoll ae.c 's/eventLoop->maxfd--;/break;/' \
    'maxfd is not lowered'
mutant epoll ae.c 's/slots = slots > setsize \/ 2.*/slots = fd;/; s/if \(slots <= fd\) slots = fd \+ 1;//' \
    'one slot too few'
mutant epoll ae.c 's/setsize <= eventLoop->maxfd/setsize < eventLoop->maxfd/' \
    'the loop can be made too small by one'
mutant epoll ae.c 's/if \(eventLoop->ended != ended\) mask = lookAgain\(eventLoop, fd, mask, ended\);//' \
    'a second handler gets what the fd was ready for before it was registered again'
mutant epoll ae.c 's/return pollNow\(fd, slot->mask\);/return AE_BOTH;/' \
    'an fd that was registered again is not asked for'
mutant epoll ae.c 's/eventLoop->isEnding \? 0 : //' \
    'an fd can be registered while the loop is ending'

# Time events: the winner tree
timers 's/earlier\(n\[6\]\.when, n\[7\]\.when\)/n[6].when/' \
    'the eighth sibling cannot win'
timers 's/return earlier\(left, right\);/return left;/' \
    'the right half of the siblings cannot win'
timers 's/winner = siblings\[when % GROUP\]\.leaf/winner = siblings[0].leaf/' \
    'a parent names another leaf than that of its deadline'
timers 's/nodes\[place\]\.when = when = inPlace\(when, place\);/nodes[place].when = when;/' \
    'a parent keeps the place of its earliest child'
timers 's/nodes\[place\]\.when = inPlace\(NEVER, place\);//' \
    'a deadline that is gone is compared with the others'
timers 's/nodes\[place\]\.leaf = winner;//' \
    'a parent keeps its old leaf'
timers 's/when = inPlace\(when, place\);(\s*if \(when >=)/$1/' \
    'an earlier deadline goes up with the place of the child'
timers 's/nodes\[place\] = \(Node\)\{when, leaf, 0\};/nodes[place].when = when;/' \
    'an earlier deadline goes up without its leaf'
timers 's/nodes\[place\] = \(Node\)\{when, leaf, 0\};/nodes[place].leaf = leaf;/' \
    'an earlier leaf goes up without its deadline'
timers 's/if \(nodes\[parentOf\(place\)\]\.leaf != leaf\) return;/return;/' \
    'the end of a deadline changes no parent'
timers 's/(nodes\[parentOf\(place\)\]\.leaf != leaf)\) return;/$1 || place >= WIDTH) return;/' \
    'the end of a deadline changes only the first parent'
timers 's/nodes\[TOP\] = \(Node\)\{inPlace\(when, TOP\), winner, 0\};/nodes[TOP].leaf = winner;/' \
    'a top has an old deadline'
timers 's/nodes\[TOP\] = \(Node\)\{inPlace\(when, TOP\), winner, 0\};/nodes[TOP].when = inPlace(when, TOP);/' \
    'a top has an old leaf'
timers 's/nodes\[TOP\] = \(Node\)\{inPlace\(when, TOP\)/nodes[TOP] = (Node){when/' \
    'a top has the place of its earliest child'
timers 's/timers->nearest = \(Node\)\{when, winner, 0\};//' \
    'the nearest deadline stays after its end'
timers 's/timers->nearest = \(Node\)\{when, leaf, 0\};//' \
    'the nearest deadline is never an earlier one'
timers 's/(nodes\[place\] = \(Node\)\{when, leaf, 0\};\s*\}\s*)place = number % WIDTH;/$1place = 0;/' \
    'an earlier deadline goes to the first copy above, in place of the right one'
timers 's/(winner, 0\};\s*)place = number % WIDTH;/$1place = 0;/' \
    'the first copy above is changed in place of the right one'
timers 's/if \(isEarliest\) addAbove\(.*?;//' \
    'the nearest of a block is not noticed'
timers 's/leaves\[inPlace\(when, place\) < parent->when\]/leaves[0]/' \
    'an earlier deadline changes the lowest parent without its leaf'
timers 's/leaves\[inPlace\(when, place\) < parent->when\]/leaves[1]/' \
    'the lowest parent names the newest leaf'
timers 's/parent->when = earlier\(inPlace\(when, place\), parent->when\);//' \
    'an earlier leaf changes the lowest parent without its deadline'
timers 's/parent->when = earlier\(inPlace\(when, place\), parent->when\);/parent->when = earlier(when, parent->when);/' \
    'an earlier deadline has no place in the lowest parent'
timers 's/(nodes\[leaf % WIDTH\]\.when = )inPlace\(when, leaf\);/$1when;/' \
    'a deadline has no place'
timers 's/(nodes\[leaf % WIDTH\]\.when = )inPlace\(NEVER, leaf\);/$1NEVER;/' \
    'a leaf without a deadline has no place'
timers 's/if \(block->nodes\[parentOf\(leaf % WIDTH\)\]\.leaf == leaf\) removeAbove\(timers, leaf\);//' \
    'the earliest of its siblings can be deleted unnoticed'
timers 's/if \(deadline == NEVER \/ TICKS\) return NULL;//' \
    'without a timer the wait has a limit'

# Deadlines and passes
timers 's/monotonicNow\(999\)/monotonicNow(0)/' \
    'a timer is a fraction of a microsecond early'
timers 's/earlier\(\(uint64_t\)milliseconds, last \/ 1000\)/(uint64_t)milliseconds/' \
    'a delay does not saturate'
timers 's/earlier\(monotonicNow\(999\) \+ delay, last\)/(monotonicNow(999) + delay)/' \
    'a time does not saturate'
timers 's/if \(milliseconds > 0\) \{/if (milliseconds >= 0) {/' \
    'what is due at once is due in the next microsecond'
timers 's/return now == timers->passEnd \/ TICKS \? .*? : now \* TICKS;/return now * TICKS;/' \
    'a pass fires what is armed in it'
timers 's/\? timers->passEnd \+ PASS : now/? timers->passEnd : now/' \
    'what is armed after a pass counts as due in it'
timers 's/\? timers->passEnd \+ PASS : now/? timers->passEnd + 2 * PASS : now/' \
    'what is armed after a pass is late by one pass'
timers 's/if \(now == timers->passEnd \/ TICKS\) end = timers->passEnd \+ PASS;//' \
    'a second pass in a microsecond fires nothing that the first one armed'
timers 's/if \(end \/ TICKS > now\) end = timers->passEnd;//' \
    'a pass fires what is due in the next microsecond when this one is full'
timers 's/timers->passEnd = end;//' \
    'no pass is remembered'
timers 's/now \* TICKS \+ PASS - 1/now * TICKS - 1/' \
    'a timer that is due this very microsecond does not fire'
timers 's/(    PASS = )GROUP /${1}1 /' \
    'a pass has fewer ticks than there are siblings'
timers 's/(finalizeTimers\(eventLoop\);\s*return fired;)/if (!fired) $1/' \
    'a pass that fires does not finalize'

# The index
timers 's/number &= timers->blockMask >> .*?;//' \
    'an id leads to a block that does not exist yet'
timers 's/if \(number > timers->blockMask\) (timers->blockMask = )/if (0) $1/' \
    'the index does not grow with the blocks'
timers 's/if \(number > timers->blockMask\) (timers->blockMask = )/if (number >= timers->blockMask) $1/' \
    'the index doubles one block early'
timers 's/number & \(timers->blockMask >> 1\)\)/0)/' \
    'each new block is split off from the first one'
timers 's/old->onlyHash != MIXED_HASHES && //' \
    'a split moves nothing from a block whose entries have several hashes'
timers 's/\(old->onlyHash & timers->blockMask\) != number\) return;/1) return;/' \
    'a split moves nothing from a block whose entries have one hash'
timers 's/home->onlyHash == NO_HASH \? hash : MIXED_HASHES/hash/' \
    'a block knows only the hash of its newest entry'
timers 's/if \(home->onlyHash != hash\) home->onlyHash = /if (home->onlyHash == NO_HASH) home->onlyHash = /' \
    'a block knows only the hash of its oldest entry'
timers 's/old->buckets\[i\] = 0;//' \
    'a split leaves the entries where they were too'
timers 's/leaf; leaf = next\)/leaf; leaf = 0)/' \
    'a split moves the first entry of each bucket and loses the others'
timers 's/timers->blocks\+\+;\s*splitIndex\(timers\);/timers->blocks++; if (number > timers->blockMask) timers->blockMask = timers->blockMask * 2 + 1;/' \
    'no entries move to a new block'
timers 's/\.next = \*bucket;/.next = 0;/' \
    'a new entry loses those that were in the bucket'
timers 's/if \(timer->id != id\) continue;/if (timer->id != id) break;/' \
    'only the first entry of a bucket is found'
timers 's/\*link = node->next;/*link = 0;/' \
    'the entries behind a deleted one are lost'
timers 's/\*link = node->next;//' \
    'a deleted timer stays in the index'
timers 's/if \(!isDeleted\) aeDeleteTimeEvent\(eventLoop, timer\.id\);//' \
    'a timer that is done stays in the index'

# The lists of free leaves and of ended timers
timers 's/timers->free = block->nodes\[leaf % WIDTH\]\.next;//' \
    'a leaf is given out twice'
timers 's/timers->free = number \? number \* WIDTH : 1;/timers->free = number * WIDTH;/' \
    'leaf 0 is given out, which ends each list'
timers 's/nodes\[WIDTH - 1\]\.next = 0;/nodes[WIDTH - 2].next = 0;/' \
    'the last leaf of a block is in no list'
timers 's/nodes\[WIDTH - 1\]\.next = 0;//' \
    'the free leaves go on behind the last block'
timers 's/blockOf\(timers, leaf\)->nodes\[leaf % WIDTH\]\.next = timers->free;//' \
    'the free list ends with the leaf that was freed last, or leads elsewhere'
timers 's/timers->lastEnded = leaf;//' \
    'the end of the queue is not remembered'
timers 's/(timers->lastEnded = leaf;\s*)block->nodes\[leaf % WIDTH\]\.next = 0;/$1/' \
    'the queue goes on behind its end'
timers 's/timers->endedCount\+\+;//' \
    'a timer in the queue is not counted'
timers 's/timers->finalizedCount\+\+;//' \
    'a timer that leaves the queue is not counted'
timers 's/(timers->firstEnded = block[^;]*;)(\s*timers->finalizedCount\+\+;\s*timer->finalizerProc[^;]*;)/$2 block = blockOf(timers, leaf); $1/' \
    'a nested pass finalizes a second time'
timers 's/(timer->finalizerProc\(eventLoop, timer->clientData\);)\s*(freeLeaf\(eventLoop, leaf\);)/$2 $1/' \
    'a leaf is free while its timer is being finalized'
timers 's/if \(!timer->finalizerProc\) \{(\s*freeLeaf)/if (1) {$1/' \
    'no finalizer is called'

# What is running
timers 's/(const Timer timer = [^;]*;\s*)removeDeadline\(timers, block, leaf\);/$1/' \
    'a nested pass runs a timer that is running'
timers 's/if \(node->when >= NEVER\) return AE_OK;//' \
    'a timer is freed under its own handler'
timers 's/if \(node->when >= NEVER\) return AE_OK;/if (node->when >= NEVER) return AE_ERR;/' \
    'a timer that is running cannot be deleted'
timers 's/again != AE_NOMORE && !isDeleted/again != AE_NOMORE/' \
    'a timer that deletes itself fires again'
timers 's/(int again = [^;]*;\s*)block = blockOf\(timers, leaf\);/$1/' \
    'a block is looked for where it was before the handler'
timers 's/(timer->id = AE_DELETED_EVENT_ID;)(\s*if \(timers->head)/$2/' \
    'an ended timer keeps its id'
timers 's/(removeDeadline\(timers, block, leaf\);)(\s*endTimer)/$2/' \
    'a deleted timer fires'
timers 's/aeDeleteTimeEvent\(eventLoop, timer\.id\);\s*endTimer\(eventLoop, block, leaf\);/aeDeleteTimeEvent(eventLoop, timer.id);/' \
    'a timer that is done is neither finalized nor freed'

# timeEventHead and the end of the loop
timers 's/if \(--timers->timerCount == 0\) eventLoop->timeEventHead = NULL;/timers->timerCount--;/' \
    'timeEventHead is not NULL though no timer exists'
timers 's/timers->timerCount\+\+;//' \
    'a timer that exists is not counted'
timers 's/if \(timers->head\.id == id\) timers->head\.id = AE_DELETED_EVENT_ID;//' \
    'timeEventHead keeps the id of a timer that has ended'
timers 's/if \(!proc \|\| eventLoop->isEnding\)/if (!proc)/' \
    'timers can be created while the loop is deleted'
timers 's/proc \? ECANCELED : EINVAL/EINVAL/' \
    'the errno of a refused creation is wrong'
timers 's/if \(timer->timeProc && timer->id >= 0\) aeDeleteTimeEvent\(eventLoop, timer->id\);//' \
    'timers stay in the index while the loop is deleted'
timers 's/endTimers\(eventLoop\);//' \
    'the loop is deleted without finalizers'

# Growth
timers 's/number < timers->treeCounts\[height\]/number + 1 < timers->treeCounts[height]/' \
    'a tree is made twice'
timers 's/timers->treeCounts\[height\]\+\+;//' \
    'a tree is not counted'
timers 's/if \(number\) continue;/continue;/' \
    'a new highest tree is not used'
timers 's/timers->height = height;//' \
    'a new highest tree is not the highest'
timers 's/nodes\[0\] = nodes\[parentOf\(0\)\] = nodes\[TOP\] = .*?;//' \
    'a new highest tree does not know the top of its first child'
timers 's/nodes\[0\] = nodes\[parentOf\(0\)\] = nodes\[TOP\] =/nodes[0] =/' \
    'a new highest tree has no winner'
timers 's/initTree\(block->nodes, number \* WIDTH\)/initTree(block->nodes, 0)/' \
    'the leaves of all blocks have the same numbers'
timers 's/memset\(block, 0, sizeof\(\*block\)\);//' \
    'a new block holds garbage'
timers 's/\(size_t\)chunk \+ 1, sizeof/chunk ? chunk : 1, sizeof/' \
    'the directory does not grow'
timers 's/used \? used \* 2 : 1/used ? used + 1 : 1/' \
    'the first chunk grows by one block and is filled as if it had doubled'
timers 's/release\(timers->trees\[height\]\[i\]\);/continue;/' \
    'the trees above the blocks are not freed'
timers 's/release\(timers->trees\[height\]\);//' \
    'the arrays of trees are not freed'
timers 's/(number < timers->blocks; number \+= CHUNK\)\s*)release\(blockAt\(timers, number\)\);/$1continue;/' \
    'the blocks are not freed'

# One iteration
mutant epoll ae.c 's/\(flags \| eventLoop->flags\) & AE_DONT_WAIT/flags \& AE_DONT_WAIT/' \
    'aeSetDontWait has no effect'
mutant epoll ae.c 's/ \|\| \(firesTimers && !\(flags & AE_DONT_WAIT\)\)//' \
    'no sleep without an fd'
mutant epoll ae.c 's/if \(flags & AE_FILE_EVENTS\) served/served/' \
    'file handlers run without AE_FILE_EVENTS'
mutant epoll ae.c 's/if \(deadline > now\) wait = deadline - now;/if (deadline > now) wait = (deadline - now) \/ 1000 * 1000;/' \
    'a wait ends before the deadline'
mutant epoll ae.c 's/STORE_STOP\(eventLoop, 0\);//' \
    'aeMain does not clear stop'

# Backends
mutant epoll ae_epoll.c 's/ \+ 999\) \/ 1000/) \/ 1000/' \
    'whole milliseconds are rounded down'
mutant epoll ae_epoll.c 's/EPOLLOUT \| EPOLLERR \| EPOLLHUP/EPOLLOUT | EPOLLERR/' \
    'a hang-up is not writable'
mutant epoll ae_epoll.c 's/errno != ENOENT \|\|/1 ||/' \
    'an fd closed without deletion cannot be registered again'
mutant epoll ae_epoll.c 's/left \? EPOLL_CTL_MOD : EPOLL_CTL_DEL/EPOLL_CTL_DEL/' \
    'epoll: to delete one event deletes both'
mutant epoll ae_epoll.c 's/if \(slot->registration != registrationOf.*?continue;//' \
    'epoll: a ghost reaches the next owner of its number'
mutant epoll ae_epoll.c 's/(watch\(set, EPOLL_CTL_ADD, fd, )slot->mask/$1AE_READABLE/' \
    'epoll: a new set forgets the writers'
mutant epoll ae_epoll.c 's/if \(watch\(poller->fd, EPOLL_CTL_MOD, fd, slot->mask, slot->registration\)\)\s*return errno.*?;//' \
    'epoll: a new set includes a file that is not registered'
mutant epoll ae_epoll.c 's/(endRegistration\(eventLoop, fd\);\s*)poller->mayHaveGhosts = 1;/$1/' \
    'epoll: no ghost is expected when a number is used again'
mutant select ae_select.c 's/if \(mask & AE_WRITABLE\) FD_CLR\(fd, &poller->writable\);//' \
    'select: a deleted write event stays in the set'
mutant select ae_select.c 's/ && dropClosedFds\(eventLoop\) > 0//; s/errno == EBADF/0/' \
    'select: a closed fd is fatal'
mutant kqueue ae_kqueue.c 's/return side \| others;/return side;/' \
    'kqueue: the end of a file is reported for one side only'
mutant kqueue ae_kqueue.c 's/return poll\(&request, 1, 0\) == 1 && .*;/return 1;/' \
    'kqueue: a half-close is a hang-up to the reader'
EMULATED_SYSTEM=macos mutant kqueue ae_kqueue.c 's/\(int\)event->ident, POLLOUT,/(int)event->ident, POLLIN,/' \
    'kqueue: a half-close is a hang-up to the reader, on macOS'
mutant kqueue ae_kqueue.c 's/\*slotMask &= ~NOTES;//' \
    'kqueue: notes stay in the mask'
mutant kqueue ae_kqueue.c 's/change\(eventLoop, fd, mask & ~registered, EV_DELETE, AE_NONE, 0\);//' \
    'kqueue: a failed registration leaves a filter armed'
mutant netbsd ae_kqueue.c 's/int wasClosed = registered && error == ENOENT;/int wasClosed = 0;/' \
    'kqueue: an fd closed without deletion cannot be registered again'
mutant evport ae_evport.c 's/poller->events\[i\]\.portev_source = 0;//' \
    'evport: an entry of the wait before is taken for an event'
mutant evport ae_evport.c 's/\n    putBack\(eventLoop\);//' \
    'evport: an fd is reported only once'
mutant evport ae_evport.c 's/int left = eventLoop->events\[fd\]\.mask & ~mask & AE_BOTH;/int left = 0;/' \
    'evport: to delete one event deletes both'

echo "mutants: $((applied - survivors)) of $applied found"
[ $survivors = 0 ]
