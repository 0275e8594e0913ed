#!/usr/bin/env bash
# The examples that integration.sh does not test: chat, hiredis, threads and signals, each with typical
# clients; and the behaviour that all share. Prints a line for each behaviour.
#
#     tests/checks/examples.sh DIRECTORY     where the examples are
set -u
cd "$(dirname "$0")/../.."
examples=$(cd "$1" && pwd) || exit 1
. tests/support/check.sh
. tests/support/serve.sh

# Connects, and stores the fd in the variable named by $1.
dial() {
    exec {new}<>/dev/tcp/127.0.0.1/$port && printf -v "$1" %s "$new"
}

# Reads lines from an fd until one is equal to $2.
hears() {
    while read -r -t 60 -u $1 line; do
        [ "$line" != "$2" ] || return 0
        echo "heard: $line"
    done
    echo "never heard: $2"
    return 1
}

## All of them

servers_of_a_port="echo http chat signals threads"

# A usage line on stderr and exit status 2, for an argument that is no number or too large, and for too
# many arguments.
a_bad_argument_gets_a_usage_line() {
    for bad in --help abc '' 1x 0x10 -1 65536 99999999999999999999; do
        [ "$1 $bad" != "ticker 65536" ] || continue
        timeout 20 "$examples/$1" "$bad" >"$box/out" 2>"$box/err"
        status=$?
        echo "\"$bad\": $status" && cat "$box/out" "$box/err"
        [ $status = 2 ] && [ ! -s "$box/out" ] && [ "$(wc -l <"$box/err")" = 1 ] &&
            grep -q "^usage: $1 \[" "$box/err" || return 1
    done
    timeout 20 "$examples/$1" 0 1 1 1 1 >"$box/out" 2>"$box/err"
    [ $? = 2 ] && grep -q "^usage: $1 \[" "$box/err"
}

# The message of anet or errno.
a_port_in_use_is_reported() {
    timeout 20 "$examples/$1" $port >"$box/out" 2>"$box/err"
    [ $? = 1 ] && cat "$box/err" && [ ! -s "$box/out" ] &&
        grep -qE "^$1: cannot (bind|listen): Address already in use$" "$box/err"
}

# Sends a request for the example over the fd $2, and reads the reply.
is_served() {
    local reply
    case $1 in
    echo | signals) echo hello >&$2 && hears $2 hello ;;
    http) printf 'GET / HTTP/1.0\r\n\r\n' >&$2 && hears $2 $'HTTP/1.1 200 OK\r' ;;
    chat) hears $2 '* Welcome. What is your name?' ;;
    threads) read -r -t 60 -u $2 reply && [ "${reply% *}" = thread ] ;;
    esac
}

# While accept fails, it is called again after a tenth of a second (echo calls it twice each time). When
# it succeeds, the client is served. The numbers are EPERM, ENOMEM, ENFILE, EMFILE, ENOBUFS.
a_failing_accept_is_tried_again_after_a_pause() {
    for error in 1 12 23 24 105; do
        echo $error >"$box/new" && mv "$box/new" "$ACCEPT_FAULTS" && : >"$ACCEPT_FAULTS.calls"
        dial client || return 1
        until [ "$(wc -l <"$ACCEPT_FAULTS.calls")" -ge 5 ]; do
            is_well $pid $1 || return 1
            sleep 0.02
        done
        rm "$ACCEPT_FAULTS"
        elapsed=$(($(sed -n 5p "$ACCEPT_FAULTS.calls") - $(sed -n 1p "$ACCEPT_FAULTS.calls")))
        echo "errno $error: 5 calls in $elapsed ms"
        [ $elapsed -ge 150 ] && is_served $1 $client || return 1
        exec {client}>&-
    done
}

# With other flags of projects, and on illumos, where unistd.h declares tell, and dprintf and
# SO_REUSEPORT are missing.
it_compiles_elsewhere() {
    mkdir -p "$box/illumos/sys" || return 1
    printf '%s\n' '#include_next <unistd.h>' 'long tell(int);' >"$box/illumos/unistd.h"
    printf '%s\n' '#include_next <stdio.h>' '#pragma GCC poison dprintf' >"$box/illumos/stdio.h"
    printf '%s\n' '#include_next <sys/socket.h>' '#undef SO_REUSEPORT' >"$box/illumos/sys/socket.h"
    for flags in "-D_XOPEN_SOURCE=600 -D_GNU_SOURCE=1" "-isystem $box/illumos"; do
        ${CC:-cc} ${CFLAGS:-} $flags -Wall -Wextra -Werror -I. -c examples/$1.c -o "$box/$1.o" ||
            return 1
    done
}

all() {
    for name in $servers_of_a_port hiredis ticker; do
        [ -x "$examples/$name" ] || continue
        check "$name: a bad argument gets a usage line" a_bad_argument_gets_a_usage_line $name
        check "$name: it compiles elsewhere" it_compiles_elsewhere $name
    done
    serve echo
    for name in $servers_of_a_port; do
        check "$name: a port in use is reported" a_port_in_use_is_reported $name
    done

    ${CC:-cc} -shared -fPIC -o "$box/accept_faults.so" tests/support/accept_faults.c || exit 1
    export ACCEPT_FAULTS=$box/fault
    for name in $servers_of_a_port; do
        export LD_PRELOAD=$box/accept_faults.so ASAN_OPTIONS=verify_asan_link_order=0
        serve $name
        unset LD_PRELOAD ASAN_OPTIONS
        check "$name: a failing accept is tried again after a pause" \
            a_failing_accept_is_tried_again_after_a_pause $name
    done
    unset ACCEPT_FAULTS
}

## chat

# Joins as $2, and stores the fd in the variable $1.
join() {
    dial $1 && hears ${!1} '* Welcome. What is your name?' && echo "$2" >&${!1} &&
        hears ${!1} "* $2 is here."
}

a_line_reaches_all_with_the_name_of_its_sender() {
    join ann ann && join bob bob && hears $ann '* bob is here.' || return 1
    printf 'hello, bob\r\n' >&$ann
    hears $ann 'ann: hello, bob' && hears $bob 'ann: hello, bob'
}

a_line_may_come_in_pieces_and_several_at_once() {
    join ann ann || return 1
    for piece in 'o' 'n' 'e\ntw' 'o\n\nthree\n'; do printf "$piece" >&$ann; done
    for word in one two three; do
        read -r -t 60 -u $ann line && [ "$line" = "ann: $word" ] || return 1
    done
}

a_name_is_a_word_that_no_other_guest_has() {
    join ann ann && dial bob && hears $bob '* Welcome. What is your name?' || return 1
    for bad in ann 'two words' '' /quit a-name-of-twenty-one-ch; do
        echo "$bad" >&$bob
        read -r -t 60 -u $bob line && [ "$line" = "* That name is not valid or is in use. What is your name?" ] ||
            return 1
    done
    echo bob >&$bob
    hears $bob '* bob is here.'
}

control_characters_are_dropped() {
    join ann ann && join bob bob || return 1
    printf '\033[2Jboo\b\177\a, \303\244h\n' >&$ann
    hears $bob $'ann: [2Jboo, \303\244h'
}

a_line_that_is_too_long_continues_in_the_next() {
    join ann ann && join bob bob || return 1
    long=$(head -c 400 /dev/zero | tr '\0' x)
    echo "${long}y" >&$ann
    hears $bob "ann: $long" && hears $bob 'ann: y'
}

a_guest_who_leaves_is_announced() {
    join ann ann && join bob bob && join eve eve || return 1
    echo /quit >&$bob
    hears $ann '* bob has left.' || return 1
    timeout 60 cat <&$bob || return 1
    exec {eve}>&-
    hears $ann '* eve has left.' || return 1
    echo /who >&$ann
    read -r -t 60 -u $ann line && [ "$line" = '* ann' ]
}

# The limit counts from the last line.
a_silent_guest_is_disconnected_in_time() {
    join ann ann || return 1
    begin=$(date +%s%N)
    echo hello >&$ann
    hears $ann '* You have been silent for too long.' || return 1
    [ $(($(date +%s%N) - begin)) -ge 1000000000 ] || return 1
    ! timeout 60 cat <&$ann | grep .
}

lines=60000
sayings() {
    seq -f "%06.0f $(head -c 390 /dev/zero | tr '\0' x)" $lines
}

# ann sends more than all buffers have room for, while deaf does not read. What ann receives is in
# $box/ann.
talk_past_the_deaf() {
    join deaf deaf && join ann ann || return 1
    : >"$box/ann"
    sayings >&$ann &
    saying=$!
    timeout 120 head -n $lines <&$ann >"$box/ann" &
    hearing=$!
}

# ann must stop before the end. When deaf reads, both receive everything.
senders_wait_for_a_guest_who_does_not_read() {
    talk_past_the_deaf || return 1
    size=-1
    until now=$(stat -c %s "$box/ann") && [ $now = $size ] && [ $now -gt 0 ]; do
        size=$now
        sleep 0.5
    done
    kill -0 $hearing || return 1
    timeout 120 head -n $lines <&$deaf | grep -v '^\*' >"$box/deaf"
    wait $saying && wait $hearing || return 1
    sayings | sed 's/^/ann: /' >"$box/all"
    cmp "$box/ann" "$box/all" && [ "$(wc -l <"$box/deaf")" -ge $((lines - 2)) ] &&
        head -n "$(wc -l <"$box/deaf")" "$box/all" | cmp - "$box/deaf"
}

a_guest_who_never_reads_is_disconnected() {
    talk_past_the_deaf || return 1
    wait $saying && wait $hearing || return 1
    grep -q '^\* deaf has left\.$' "$box/ann"
}

chat() {
    serve chat
    check "chat: a line reaches all, with the name of its sender" \
        a_line_reaches_all_with_the_name_of_its_sender
    check "chat: a line may come in pieces, and several at once" \
        a_line_may_come_in_pieces_and_several_at_once
    check "chat: a name is a word that no other guest has" a_name_is_a_word_that_no_other_guest_has
    check "chat: control characters are dropped" control_characters_are_dropped
    check "chat: a line that is too long continues in the next" \
        a_line_that_is_too_long_continues_in_the_next
    check "chat: a guest who leaves in any way is announced" a_guest_who_leaves_is_announced
    check "chat is well after all that" is_well $pid chat
    serve chat 1
    check "chat: a silent guest is disconnected in time" a_silent_guest_is_disconnected_in_time
    serve chat 300 300
    check "chat: senders wait for a guest who does not read" senders_wait_for_a_guest_who_does_not_read
    check "chat is well after that" is_well $pid chat
    serve chat 300 1
    check "chat: a guest who never reads is disconnected" a_guest_who_never_reads_is_disconnected
    check "chat is well after that, too" is_well $pid chat
}

## threads

# $1: the least number of threads that must have served some.
threads_share_the_visitors_and_count_them() {
    for _ in $(seq 100); do
        dial visitor && timeout 60 cat <&$visitor && exec {visitor}>&- || return 1
    done >"$box/greetings"
    sort "$box/greetings" | uniq -c | tee "$box/counts"
    [ "$(grep -c '^thread [0-3]$' "$box/greetings")" = 100 ] && [ "$(wc -l <"$box/counts")" -ge $1 ] ||
        return 1
    sed 's/ *\([0-9]*\) \(thread .\)/threads: \2 had \1 visitors/' "$box/counts" >"$box/reported"
}

# $pid has ended: its output is compared with what the visitors have received.
threads_reported_what_the_visitors_saw() {
    grep -q '^threads: 100 visitors$' "$box/threads.out" && [ ! -s "$box/threads.err" ] &&
        grep -vE ' had 0 |listening|^threads: 100' "$box/threads.out" | sort | diff - "$box/reported"
}

threads() {
    serve threads 4
    check "threads: all share the visitors$1" threads_share_the_visitors_and_count_them $2
    kill -TERM $pid
    wait $pid
    status=$?
    check "threads: a signal ends all of them$1" [ $status = 0 ]
    check "threads: the counts of all come together$1" threads_reported_what_the_visitors_saw
}

threads_without_reuseport() {
    mkdir "$box/bare" && ${CC:-cc} ${CFLAGS:-} -isystem "$box/illumos" -I. -pthread examples/threads.c \
        ae.c anet.c -o "$box/bare/threads" || exit 1
    local examples=$box/bare
    threads ", without SO_REUSEPORT" 1
}

## signals

# Waits until the server has read everything. Then it works on the first line.
all_is_read() {
    local queues
    for _ in $(seq 3000); do
        queues=$(awk -v port=":$(printf %04X $port)" '$4 == "01" && substr($2, 9) == port { print $5 }' \
            /proc/net/tcp)
        [ -z "$(echo "$queues" | grep -v ':00000000$')" ] && return
        sleep 0.02
    done
    return 1
}

lines_are_served_one_after_the_other() {
    dial client && printf 'one\ntwo\nthr' >&$client &&
        hears $client one && hears $client two &&
        echo ee >&$client && hears $client three
}

# After the first reply the second line is in progress; a hundred would take ten seconds.
what_is_begun_is_finished_and_nothing_else() {
    dial idle && dial client && seq 100 >&$client && hears $client 1 || return 1
    kill -TERM $pid
    [ -z "$(timeout 60 cat <&$idle)" ] && timeout 60 cat <&$client >"$box/replies" || return 1
    count=$(wc -l <"$box/replies")
    [ $count -ge 1 ] && [ $count -lt 99 ] && seq 2 $((count + 1)) | diff - "$box/replies"
}

no_other_connection_is_accepted() {
    ! dial client
}

signals() {
    serve signals 100
    check "signals: lines are served one after the other" lines_are_served_one_after_the_other
    check "signals: what is begun is finished, and nothing else" \
        what_is_begun_is_finished_and_nothing_else
    wait $pid
    status=$?
    check "signals: then it ends well" [ $status = 0 ]
    check "signals: and says so" grep -qx 'signals: all done' "$box/signals.out"

    serve signals 600000 1
    dial client && echo one >&$client
    check "signals: work begins" all_is_read
    kill -INT $pid
    wait $pid
    status=$?
    check "signals: what takes too long is cut off" [ $status = 1 ]
    check "signals: and this is reported" grep -qx 'signals: out of time' "$box/signals.out"
    check "signals: no error message" [ ! -s "$box/signals.err" ]
    exec {client}>&-

    serve signals 600000 600000
    dial client && echo one >&$client
    check "signals: work begins again" all_is_read
    kill -TERM $pid
    until grep -q 'got signal 15' "$box/signals.out" || ! kill -0 $pid; do sleep 0.02; done
    check "signals: no other connection is accepted" no_other_connection_is_accepted
    kill -TERM $pid
    wait $pid 2>/dev/null
    status=$?
    check "signals: the second signal ends it at once" [ $status = $((128 + 15)) ]
    exec {client}>&-
}

## hiredis

# Sets `port` and `redis`.
start_redis() {
    for _ in $(seq 50); do
        port=$((RANDOM % 20000 + 20000))
        : >"$box/redis.log"
        redis-server --port $port --bind 127.0.0.1 --save '' --dir "$box" >"$box/redis.log" 2>&1 &
        redis=$!
        servers="$servers $redis"
        while kill -0 $redis 2>/dev/null; do
            ! grep -q 'Ready to accept connections' "$box/redis.log" || return 0
            sleep 0.02
        done
    done
    cat "$box/redis.log"
    echo "examples: redis-server does not start" >&2
    exit 1
}

it_sets_gets_publishes_and_hears_of_it() {
    "$examples/hiredis" $port >"$box/out" 2>"$box/err"
    [ $? = 0 ] && [ ! -s "$box/err" ] || { cat "$box/err" && return 1; }
    printf '%s\n' subscribed set 'got "hello"' | diff - <(head -n 3 "$box/out") &&
        printf '%s\n' 'news: "hello"' 'published to 1' | diff - <(tail -n +4 "$box/out" | sort)
}

# One line of error message.
it_fails_and_says() {
    "$examples/hiredis" $port >"$box/out" 2>"$box/err"
    [ $? = 1 ] && cat "$box/err" && [ "$(wc -l <"$box/err")" = 1 ] && grep -q "$1" "$box/err"
}

hiredis() {
    for need in "$examples/hiredis" "$(command -v redis-server)" "$(command -v redis-cli)"; do
        [ -x "$need" ] && continue
        leave_out hiredis "libhiredis-dev or redis-server is not there"
        return
    done
    start_redis
    check "hiredis: it sets, gets, publishes, and hears of it" it_sets_gets_publishes_and_hears_of_it
    redis-cli -p $port config set requirepass secret >/dev/null
    check "hiredis: an error of the server is reported" it_fails_and_says NOAUTH
    redis-cli -p $port -a secret --no-auth-warning config set requirepass '' >/dev/null
    kill -STOP $redis
    check "hiredis: the wait for a silent server has a limit" it_fails_and_says 'gave up'
    kill -CONT $redis
    check "hiredis: all is well again" it_sets_gets_publishes_and_hears_of_it
    kill -TERM $redis
    wait $redis
    check "hiredis: a missing server is reported" \
        it_fails_and_says '^hiredis: cannot connect: .*refused'
}

all
chat
threads "" 2
threads_without_reuseport
signals
hiredis
finish
