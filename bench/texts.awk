# Prints one of the passages that tell what was measured, from bench/results/*.csv.
#
#     awk -F, -f bench/texts.awk -v passage=behind bench/results/*.csv
#
# Columns: case, metric, library, median, low, high, rounds, to epoll, to best. A passage whose rows
# were not measured says so.

FNR == 1 {
    workload = FILENAME
    sub(/.*\//, "", workload)
    sub(/\.csv$/, "", workload)
    if (workload == "swap") next
    if (!(workload in isWorkload)) {
        isWorkload[workload] = 1
        workloads[++workloadCount] = workload
    }
    next
}

workload == "swap" {
    gsub(/;/, ",", $1)
    swaps[++swapCount] = "| " $1 " | " grouped($2) " | " grouped($3) \
        ($4 != "" ? " (" $4 " to " $5 ")" : "") " |"
    next
}

{
    row = workload "," $1 "," $2
    if (!(row in isRow)) {
        isRow[row] = 1
        rows[++rowCount] = row
    }
    median[row, $3] = $4 + 0
    low[row, $3] = $5 + 0
    high[row, $3] = $6 + 0
    if ($3 ~ /^lib(ev|event|uv)$/ && (!(row in best) || $4 + 0 < median[row, best[row]]))
        best[row] = $3
}

# 1234567.8 as 1,234,568; below 1000 three digits.
function grouped(x,    text, tail) {
    if (x !~ /^[0-9]+(\.[0-9]+)?$/) return x
    if (x != int(x) || x < 1000) return x + 0
    for (text = sprintf("%d", x); length(text) > 3; text = substr(text, 1, length(text) - 3))
        tail = "," substr(text, length(text) - 2) tail
    return text tail
}
function shown(x) {
    if (x == int(x)) return grouped(x)
    if (x >= 1000) return grouped(sprintf("%.0f", x))
    return sprintf(x >= 100 ? "%.0f" : x >= 10 ? "%.1f" : "%.2f", x)
}
function ours(row) {
    return median[row, "libae"]
}
function theirs(row) {
    return median[row, best[row]]
}

# The range of a ratio over all rows that match: sets least, most and count.
function range(pattern, against,    r, row, x) {
    count = 0
    for (r = 1; r <= rowCount; r++) {
        row = rows[r]
        if (row !~ pattern || !((row, "libae") in median)) continue
        x = against == "" ? ours(row) : against == "best" ? theirs(row) : median[row, against]
        if (against != "" && x <= 0) continue
        x = against == "" ? x : ours(row) / x
        if (!count++ || x < least) least = x
        if (count == 1 || x > most) most = x
    }
    return count
}
function span(digits,    a, b) {
    a = sprintf("%." digits "f", least)
    b = sprintf("%." digits "f", most)
    return a == b ? a : a " to " b
}

# Above the best by more than 2 %.
function isBehind(row) {
    return (row in best) && ours(row) > 1.02 * theirs(row)
}

function say(text) {
    said = 1
    gsub(/  +/, " ", text)
    print wrapped(text)
}
# Lines of at most 100 columns.
function wrapped(text,    n, i, words, line, out) {
    n = split(text, words, " ")
    for (i = 1; i <= n; i++) {
        if (line != "" && length(line) + 1 + length(words[i]) > 100) {
            out = out line "\n"
            line = ""
        }
        line = line (line == "" ? "" : " ") words[i]
    }
    return out line
}

# One operation in the list of tellTimers.
function ratioOf(operation, words) {
    if (!range("^timers,[0-9]+," operation "(\\+poll)?$", "best")) return ""
    return span(2) " for " words
}
function tellTimers(    list) {
    list = ratioOf("create", "creating a timer")
    if (list == "") return
    say("With 10 to a million timers pending, libae takes this many times as long as the fastest of" \
        " libev, libevent and libuv: " list ", " \
        ratioOf("churn", "deleting one and creating another") ", " \
        ratioOf("restart", "restarting the oldest") ", " ratioOf("fire", "firing one") ", " \
        ratioOf("poll", "a poll") ". Below 1, libae is the fastest.")
}

function tellEvents(    text) {
    if (!range("^dispatch,.*,instructions$", "best")) return
    text = "To serve an event, libae executes " span(2) \
        " times as many instructions as the best of libev, libevent and libuv,"
    range("^dispatch,.*,instructions$", "epoll")
    say(text " and " span(2) " times as many as a loop written by hand on epoll.")
}

function tellLate() {
    if (!range("^lateness,[0-9]+,median$", "")) return
    say("On a loop with nothing else to do, half of the timers are late by at most " \
        shown(most) " us; libae fires none early.")
}

function tellInstructions(    text) {
    if (!range("^dispatch,.*,instructions$", "")) return
    text = "An event takes " span(0) " instructions"
    if (range("^interest,.*,instructions$", ""))
        text = text ", a round trip with two changes of interest " span(0) \
            "; a bare epoll loop takes " bare("dispatch") " and " bare("interest")
    say(text ".")
}
function bare(workload,    r, a, b, x, n) {
    for (r = 1; r <= rowCount; r++) {
        if (rows[r] !~ "^" workload ",.*,instructions$") continue
        x = median[rows[r], "epoll"]
        if (!n++ || x < a) a = x
        if (n == 1 || x > b) b = x
    }
    return sprintf("%.0f to %.0f", a, b)
}

function tellLongest(    row) {
    row = "longest,1000000,create"
    if (!(row in isRow)) return
    say("On the way to a million timers and back, the eleventh longest creation takes " \
        shown(ours(row)) " us (the best peer " shown(theirs(row)) \
        "), the eleventh longest deletion " \
        shown(ours("longest,1000000,delete")) " us (" shown(theirs("longest,1000000,delete")) \
        "), and the poll after the earliest 250,000 were deleted " \
        shown(ours("longest,1000000,poll")) " us (" shown(theirs("longest,1000000,poll")) \
        "). The eleventh longest of a million calls that do nothing takes " \
        shown(median["longest,1000000,delete", "epoll"]) " us, since the machine interrupts them.")
}

function tellTimerCost(    a, b) {
    a = "timers,1000,"
    b = "timers,1000000,"
    if (!((a "create") in isRow) || !((b "create") in isRow)) return
    say("With 1,000 timers pending, creating one takes " shown(ours(a "create")) \
        " ns, and deleting one and creating another " shown(ours(a "churn")) \
        " ns; with a million, " shown(ours(b "create")) " and " shown(ours(b "churn")) " ns.")
}

function tellSetsize(    row) {
    row = "memory,loop of 1000000,KiB"
    if (!(row in isRow)) return
    say("A loop with a `setsize` of a million takes " shown(ours(row)) \
        " KiB of memory as long as no fd is registered.")
}

function tellEmulated(    n, text, baseline) {
    for (n = 1000; n <= 100000; n *= 10) {
        if (!(("emulated," n ",ns") in isRow)) return
        text = text (n == 1000 ? "" : n == 100000 ? " and " : ", ") \
            shown(ours("emulated," n ",ns"))
        baseline = baseline (n == 1000 ? "" : n == 100000 ? " and " : ", ") \
            shown(median["emulated," n ",ns", "epoll"])
    }
    say("In an emulated machine, an iteration that serves one fd takes " text \
        " ns among 1,000, 10,000 and 100,000 idle ones; the bare epoll loop " baseline " ns.")
}

# The median, and the lowest and highest round.
function rangeOf(row, library,    a, b) {
    a = shown(low[row, library])
    b = shown(high[row, library])
    return shown(median[row, library]) (a == b ? "" : " (" a " to " b ")")
}
function tellBehind(    r, row, part, any) {
    for (r = 1; r <= rowCount; r++) {
        row = rows[r]
        if (!isBehind(row)) continue
        if (!any++) {
            print "| workload | case | metric | libae | best peer | to best | ranges |"
            print "| --- | --- | --- | --- | --- | --- | --- |"
        }
        split(row, part, ",")
        print "| " part[1] " | " part[2] " | " part[3] " | " rangeOf(row, "libae") " | " best[row] " " \
            rangeOf(row, best[row]) " | " \
            (theirs(row) > 0 ? sprintf("%.2f", ours(row) / theirs(row)) : "-") " | " \
            (low[row, "libae"] <= high[row, best[row]] ? "overlap" : "apart") " |"
    }
    if (!any && rowCount) print "Nothing."
    said = rowCount
}

function tellSwap(    i) {
    if (!swapCount) return
    said = 1
    print "| | original | swapped |"
    print "| --- | --- | --- |"
    for (i = 1; i <= swapCount; i++) print swaps[i]
}

END {
    if (passage == "timers") tellTimers()
    else if (passage == "events") tellEvents()
    else if (passage == "late") tellLate()
    else if (passage == "instructions") tellInstructions()
    else if (passage == "longest") tellLongest()
    else if (passage == "timer-cost") tellTimerCost()
    else if (passage == "setsize") tellSetsize()
    else if (passage == "emulated") tellEmulated()
    else if (passage == "behind") tellBehind()
    else if (passage == "swap") tellSwap()
    else {
        print "texts: there is no passage " passage >"/dev/stderr"
        exit 1
    }
    if (!said) print "(Not measured.)"
}
