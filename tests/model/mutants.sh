#!/bin/bash
# Shows that the model notices faults: puts one after the other into a copy of the sources, and runs
# the model on it. The exit code is 0 if each was found. A fault that cannot be put in, as the code
# has changed, is an error: adapt its line below.
set -euo pipefail
cd "$(dirname "$0")/../.."
programs=${1:-3000}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp --parents $(git ls-files '*.c' '*.h' tests/Makefile) "$copy"
cd "$copy"

applied=0 survivors=0
# mutant BACKEND FILE 'perl program, on the whole file' WHAT
mutant() {
    local backend=$1 file=$2 program=$3 what=$4
    cp $file original
    perl -0pe "$program" original >$file
    cmp -s $file original && {
        echo "mutants: cannot be put in: $what" >&2
        exit 1
    }
    make -s -f tests/Makefile BACKEND=$backend CFLAGS=-w model
    applied=$((applied + 1))
    if build/$backend/model find "$programs" >log 2>&1; then
        survivors=$((survivors + 1))
        echo "SURVIVES  $backend: $what"
    else
        echo "found     $backend: $what ($(grep -m1 WRONG log || echo 'a crash'))"
    fi
    cp original $file
}

# File events
mutant epoll ae.c 's/if \(eventLoop->ended != endedAtPoll\) mask = lookAgain.*?;//s' \
    'stale readiness is delivered to a new registration'
mutant epoll ae.c 's/if \(!eventLoop->ready\) return;\s*if \(eventLoop->ended != ended\).*?;//s' \
    'the second handler does not mind what the first one did'
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

# Time events
mutant epoll ae.c 's/best = earlier\(places, left, right\)/best = left/' \
    'half of a group cannot win it'
mutant epoll ae.c 's/best < timers->capacity \? best : places\[best\]\.next\.key/best % timers->slots/' \
    'who wins against winners is not told'
mutant epoll ae.c 's/while \(place < timers->top && when </if (place < timers->top \&\& when </' \
    'a nearer timer wins its first group only'
mutant epoll ae.c 's/while (\(places\[nearestSlot\(timers\)\]\.when != top->when\) replay)/if $1/' \
    'of two deleted timers the second is taken for the nearest'
mutant epoll ae.c 's/for \(uint32_t place = 0; place < top; place \+= GROUP_SIZE\) decide\(timers, place\);//' \
    'the winners are lost when the places grow'
mutant epoll ae.c 's/link->hasNext \? timers->places\[link->slot\]\.next : //' \
    'a chain loses the timers behind the one that is deleted'
mutant epoll ae.c 's/link\.hasNext = chain->slot != 0;//' \
    'a chain ends where timers are behind'
mutant epoll ae.c 's/if \(id < 0 \|\| id >= eventLoop->timeEventNextId\)/if (0)/' \
    'an id that never was is taken for one that has the lower half in common'
mutant epoll ae.c 's/return delay > \(NEVER - 1 - now\) \/ 1000 \? NEVER - 1 : now \+ delay \* 1000;/return now + delay * 1000;/' \
    'times do not saturate'
mutant epoll ae.c 's/now = monotonicNow\(999\)/now = monotonicNow(0)/' \
    'a timer is a fraction of a microsecond early'
mutant epoll ae.c 's/link\.isFresh = timer->when <= timers->passTime;//' \
    'a pass fires what is armed in it'
mutant epoll ae.c 's/if \(former\.isFresh\) takeFromList.*//' \
    'a fresh timer that was deleted fires'
mutant epoll ae.c 's/(timers->vacant = 0;\s*)timers->places\[slot\]\.when = NEVER;/$1/' \
    'a deleted timer fires unless its slot is taken'
mutant epoll ae.c 's/timers->places\[slot\]\.when = NEVER;(.*\s*appendToList\(timers, FRESH)/$1/' \
    'a fresh timer has the deadline of the timer whose slot it took'
mutant epoll ae.c 's/timers->places\[slot\]\.when = NEVER;(\s*aeTimeEvent \*timer = timerAt)/$1/' \
    'a deleted timer fires while it waits for its finalizer'
mutant epoll ae.c 's/if \(firstOf\(eventLoop->timers, FRESH\)\) nearest = 0;//' \
    'the loop sleeps though a timer is due at once'
mutant epoll ae.c 's/(timer->id = AE_DELETED_EVENT_ID;)(\s*return AE_OK;)/$1 timer->timeProc = NULL; takeFromList(timer); timer->prev = timer->next = timer; leaveSlot(eventLoop, slotOf(timer));$2/; s/deleteRunning\(struct aeTimers \*timers, /deleteRunning(aeEventLoop *eventLoop, struct aeTimers *timers, /; s/deleteRunning\(timers, id\)/deleteRunning(eventLoop, timers, id)/' \
    'a timer is freed under its own handler'
mutant epoll ae.c 's/return deleteRunning\(timers, id\);/return AE_ERR;/' \
    'a timer that is running cannot be deleted'
mutant epoll ae.c 's/ \|\| firstOf\(timers, DOOMED\)//' \
    'a pass within a finalizer leaves the other finalizers out'
mutant epoll ae.c 's/again == AE_NOMORE \|\| timer->id == AE_DELETED_EVENT_ID/again == AE_NOMORE/' \
    'a handler that deletes its own timer is asked again'
mutant epoll ae.c 's/timer->id = AE_DELETED_EVENT_ID;(\s*appendToList)/$1/' \
    'a dead timer keeps its id'
mutant epoll ae.c 's/(int again = timer->timeProc)/enterTournament(timers, slot, timer->when + 1); armTimer(timers, slot, timer); $1/; s/(clientData\);\s*)(takeFromList\(timer\);\s*if \(again)/$1 { TimerLink *link = findLink(eventLoop, timer->id); if (link->slot) removeLink(timers, link); timers->places[slot].when = NEVER; } $2/' \
    'a nested pass runs a timer that is running'
mutant epoll ae.c 's/while \(\(timer = takeFirst\(timers, DOOMED\)\)\)/while ((timer = firstOf(timers, DOOMED)))/; s/appendToList\(timers, FINALIZING, timer\);(\s*timer->finalizerProc)/$1/' \
    'a nested pass finalizes a second time'
mutant epoll ae.c 's/timer->finalizerProc\(eventLoop, timer->clientData\);/$& if (slotOf(timer) % 5 == 0) $&/' \
    'some finalizers run twice'
mutant epoll ae.c 's/buryTimer\(eventLoop, former\.slot, former\.hasFinalizer\);/aeTimeEvent *dead = timerAt(timers, former.slot); if (dead->finalizerProc) dead->finalizerProc(eventLoop, dead->clientData); leaveSlot(eventLoop, former.slot);/' \
    'a finalizer runs inside of aeDeleteTimeEvent'
mutant epoll ae.c 's/eventLoop->timeEventHead = anyTimer\(timers\);/eventLoop->timeEventHead = NULL;/' \
    'timeEventHead is NULL while timers exist'
mutant epoll ae.c 's/finalizeTimers\(eventLoop\);\s*return fired;/if (!fired) $&/' \
    'a pass that fires does not finalize'
mutant epoll ae.c 's/while \(nearestDeadline\(timers\) <= now\)/while (nearestDeadline(timers) < now)/' \
    'a timer that is due this very microsecond does not fire'

# One iteration
mutant epoll ae.c 's/\(flags \| eventLoop->flags\) & AE_DONT_WAIT/flags \& AE_DONT_WAIT/' \
    'aeSetDontWait has no effect'
mutant epoll ae.c 's/ \|\| \(firesTimers && !\(flags & AE_DONT_WAIT\)\)//' \
    'no sleep without an fd'
mutant epoll ae.c 's/if \(flags & AE_FILE_EVENTS\) served/served/' \
    'file handlers run without AE_FILE_EVENTS'
mutant epoll ae.c 's/if \(nearest > now\) wait = nearest - now;/if (nearest > now) wait = (nearest - now) \/ 1000 * 1000;/' \
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
    'epoll: a new set takes in a file that nobody has registered'
mutant epoll ae_epoll.c 's/(endRegistration\(eventLoop, fd\);\s*)poller->mayHaveGhosts = 1;/$1/' \
    'epoll: no ghost is expected when a number is used again'
mutant select ae_select.c 's/if \(mask & AE_WRITABLE\) FD_CLR\(fd, &poller->writable\);//' \
    'select: a deleted write event stays in the set'
mutant select ae_select.c 's/ && dropClosedFds\(eventLoop\) > 0//; s/errno == EBADF/0/' \
    'select: a closed fd is fatal'
mutant kqueue ae_kqueue.c 's/return side \| others;/return side;/' \
    'kqueue: the end of a file is told to one side only'
mutant kqueue ae_kqueue.c 's/return pollNow\(\(int\)event->ident, AE_READABLE\) == AE_BOTH;/return 1;/' \
    'kqueue: a half-close is a hang-up to the reader'
mutant kqueue ae_kqueue.c 's/\*slotMask &= ~NOTES;//' \
    'kqueue: notes stay in the mask'
mutant kqueue ae_kqueue.c 's/change\(eventLoop, fd, mask & ~former, EV_DELETE, AE_NONE, 0\);//' \
    'kqueue: a failed registration leaves a filter armed'
mutant netbsd ae_kqueue.c 's/int forgotten = former && error == ENOENT;/int forgotten = 0;/' \
    'kqueue: an fd closed without deletion cannot be registered again'
mutant evport ae_evport.c 's/poller->events\[i\]\.portev_source = 0;//' \
    'evport: an entry of the wait before is taken for an event'
mutant evport ae_evport.c 's/\n    putBack\(eventLoop\);//' \
    'evport: an fd is reported only once'
mutant evport ae_evport.c 's/int left = eventLoop->events\[fd\]\.mask & ~mask & AE_BOTH;/int left = 0;/' \
    'evport: to delete one event deletes both'

echo "mutants: $((applied - survivors)) of $applied found"
[ $survivors = 0 ]
