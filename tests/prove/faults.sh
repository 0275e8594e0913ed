#!/bin/bash
# Shows that the analysis finds faults: puts one fault after the other into a copy of the sources, and
# runs the part that contains it. The exit code is 0 if each raised an alarm. If a fault cannot be put
# in, because the code has changed, that is an error: adapt its line below.
#
#   tests/prove/faults.sh [PART]    all faults, or those of the parts whose names begin so
set -euo pipefail
cd "$(dirname "$0")/../.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r ./*.c ./*.h "$copy"
mkdir "$copy/tests"
cp -r tests/prove tests/support "$copy/tests"
cd "$copy"

# The names of the parts, so that prove.sh can run one of them.
declare -A parts
while read -r name rest; do parts[$name]=$rest; done < <(tests/prove/prove.sh parts)
mkdir -p build/prove
export PROVE_FLAGS="-eva-stop-at-nth-alarm 1"

chosen=${1:-} applied=0 survivors=0
# fault PART FILE 'perl program, on the whole file' WHAT
fault() {
    local part=$1 file=$2 program=$3 what=$4
    [[ $part == "$chosen"* ]] || return 0
    cp "$file" original
    perl -0pe "$program" original >"$file"
    cmp -s "$file" original && {
        echo "faults: cannot be put in: $what" >&2
        exit 1
    }
    applied=$((applied + 1))
    # shellcheck disable=SC2086
    if tests/prove/prove.sh run "$part" ${parts[$part]} >log 2>&1; then
        survivors=$((survivors + 1))
        echo "SURVIVES  $part: $what"
    elif grep -q 'eva:alarm' "build/prove/$part.log"; then
        echo "found     $part: $what:$(grep -A1 'eva:alarm' "build/prove/$part.log" | sed -n 2p)"
    else
        cat log
        echo "faults: no alarm, but a failure: $what" >&2
        exit 1
    fi
    cp original "$file"
}

# Sockets
fault anet-unixServers anet.c 's/memset\(&at, 0, sizeof at\);//' \
    'an address is not cleared'
fault anet-fdsAndOptions anet.c 's/int pending = 0;/int pending;/' \
    'an option is read though the kernel wrote none'
fault anet-fdsAndOptions anet.c 's/if \(pipe2\(ends, O_CLOEXEC\) == -1\) return ANET_ERR;/pipe2(ends, O_CLOEXEC);/' \
    'the ends of a pipe are used though there is none'
fault anet-fdsAndOptions anet.c 's/if \(err != NULL\) snprintf/snprintf/' \
    'a message is written to NULL'
fault anet-fdsAndOptions anet.c 's/snprintf\(err, ANET_ERR_LEN,/snprintf(err, ANET_ERR_LEN + 1,/' \
    'a message may be a byte too long'
fault anet-fdsAndOptions anet.c 's/limit\.tv_usec = .*//' \
    'half of a time is not set'
fault anet-resolvingInto anet.c 's/(buf == NULL \|\| )len <= length/$1len < length/' \
    'a text may be a byte too long'
fault anet-resolvingInto anet.c 's/buf == NULL \|\| //' \
    'a text is written to NULL'
fault anet-resolvingInto anet.c 's/(memcpy\(&first, .*\);)(\s*)(freeAddresses\(found\);)/$3$2$1/' \
    'the first address is read after the list was freed'
fault anet-fdToString anet.c 's/wanted = ip != NULL && ip_len > 0/wanted = ip != NULL/' \
    'a text is written where there is no room'
fault anet-servers anet.c 's/if \(at == NULL\) return ANET_ERR;//' \
    'an address that was not found is used'
fault anet-servers anet.c 's/(freeAddresses\(at\);)(\s*return fd;)/$1 if (fd != ANET_ERR) freeAddresses(at);$2/' \
    'a list of addresses is freed twice'
fault anet-formatting anet.c 's/snprintf\(fmt, fmt_len,/snprintf(fmt, fmt_len + 1,/g' \
    'an address with its port may be a byte too long'

# File events
fault files-select-refusals ae.c 's/\(unsigned\)fd < \(unsigned\)eventLoop->nevents/(unsigned)fd <= (unsigned)eventLoop->nevents/' \
    'the slot behind the last one is read'
fault files-select-refusals ae.c 's/(aeDeleteEventLoop\(aeEventLoop \*eventLoop\) \{\s*)if \(!eventLoop\) return;/$1/' \
    'no loop is deleted'
fault files-select-refusals ae.c 's/(allocate\(sizeof\(\*eventLoop\)\);\s*)if \(!eventLoop\) return NULL;/$1/' \
    'a loop without memory is used'
fault files-select-growth ae.c 's/slots = slots > setsize \/ 2.*/slots = fd;/; s/if \(slots <= fd\) slots = fd \+ 1;//' \
    'one slot too few'
fault files-select-growth ae.c 's/eventLoop->events = events;//' \
    'slots that have moved are used where they were'
fault files-select-growth ae.c 's/if \(!events\) return AE_ERR;//' \
    'slots that have not grown are used'
fault files-select-growth ae.c 's/memset\(&eventLoop->events\[old\], 0, .*?;//' \
    'new slots are not empty'
fault files-select-growthInHandlers ae.c 's/slot = &eventLoop->events\[fd\];(\s*aeFileProc \*second)/$1/' \
    'a slot is used that a handler may have moved'
fault files-select-anyCalls ae.c 's/(static void freeLoop\(aeEventLoop \*eventLoop\) \{)/$1 release(eventLoop);/' \
    'a loop is read after it was freed'
fault files-select-iterations ae.c 's/flags & AE_CALL_BEFORE_SLEEP && eventLoop->beforesleep/flags & AE_CALL_BEFORE_SLEEP/' \
    'a hook is called that is not set'

# Backends
fault files-epoll-growth ae_epoll.c 's/if \(!poller\) return -1;//' \
    'epoll: a poller without memory is used'
fault files-epoll-growth ae_epoll.c 's/poller->mayHaveGhosts = 0;(\s*poller->rebuildsFrom)/$1/' \
    'epoll: a field is not set'
fault files-epoll-growth ae_epoll.c 's/events & 31\]/events & 63]/' \
    'epoll: a table is read behind its end'
fault files-epoll-anyCalls ae_epoll.c 's/close\(poller->fd\);\s*release\(poller\);/release(poller); close(poller->fd);/' \
    'epoll: a poller is read after it was freed'
fault files-select-growth ae_select.c 's/eventLoop->maxfd \+ 1, &poller/FD_SETSIZE + 1, \&poller/' \
    'select: the kernel is told of more fds than a set holds'
fault files-kqueue-growth ae_kqueue.c 's/i < reported/i < count/' \
    'kqueue: a result is read that the kernel did not give'
fault files-kqueue-nestedCalls ae_kqueue.c 's/struct kevent changes\[2\]/struct kevent changes[1]/' \
    'kqueue: one change too many'
fault files-evport-growth ae_evport.c 's/out->revents = 0;//' \
    'evport: what poll did not say is read'
fault files-evport-waits ae_evport.c 's/poller = eventLoop->apidata;\s*\/\* it may have moved.*//' \
    'evport: a poller is used where it was before it grew'

# Timers
fault timers-settingDeadlines-1 ae.c 's/return WIDTH \+ place \/ GROUP/return WIDTH + place/' \
    'a parent is looked for behind its tree'
fault timers-creating-2 ae.c 's/% BUCKETS\]/% (BUCKETS + 1)]/' \
    'a bucket behind the last one'
fault timers-creating-1 ae.c 's/timers->free = number \? number \* WIDTH/timers->free = number ? (number + 1) * WIDTH/' \
    'a leaf of a block that does not exist'
fault timers-blocks ae.c 's/if \(!nodes\) return AE_ERR;//' \
    'a tree without memory is used'
fault timers-blocks ae.c 's/(timers->trees\[height\] = trees;)/if (number == 0) $1/' \
    'an array of trees is used where it was before it grew'
fault timers-settingDeadlines-2 ae.c 's/height <= timers->height; height/height <= timers->height + 1; height/' \
    'a tree is changed that does not exist'
fault timers-blocks ae.c 's/directory\[chunk\] = NULL;//' \
    'a chunk that was never set is enlarged'
fault timers-callsFromFinalizers ae.c 's/(freeLeaf\(eventLoop, leaf\);\s*return;)/timer->finalizerProc(eventLoop, NULL); $1/' \
    'a finalizer is called that is not set'

echo "faults: $((applied - survivors)) of $applied raised an alarm"
[ $survivors = 0 ]
