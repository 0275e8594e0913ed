# Prints the table of one workload, and writes it as CSV with the spread.
#
#     awk -f table.awk -v workload=timers -v csv=out.csv raw.csv
#
# Of several rounds it takes the median. "to epoll" and "to best" say how libae compares: the bare
# epoll baseline and the best of libev, libevent and libuv are 1; below 1 is better. "spread" is the
# distance of libae's extremes, in percent of the median.

BEGIN {
    FS = OFS = ","
    count = split("epoll libae original libev libevent libuv", order, " ")
}

$1 == workload {
    row = $2 "," $3
    if (!(row in seen)) {
        seen[row] = 1
        rows[++rowCount] = row
    }
    present[$4] = 1
    value[row, $4, ++rounds[row, $4]] = $5
}

# Sorts the rounds of a cell; sets median, low and high. Tells whether there are any.
function summarize(row, library,    n, i, j, x) {
    n = rounds[row, library]
    for (i = 2; i <= n; i++) {
        x = value[row, library, i]
        for (j = i - 1; j >= 1 && value[row, library, j] + 0 > x + 0; j--)
            value[row, library, j + 1] = value[row, library, j]
        value[row, library, j + 1] = x
    }
    if (!n) return 0
    low = value[row, library, 1]
    high = value[row, library, n]
    median = value[row, library, int((n + 1) / 2)]
    if (n % 2 == 0) median = (median + value[row, library, n / 2 + 1]) / 2
    return 1
}

function ratio(a, b) {
    return b > 0 ? sprintf("%.2f", a / b) : "-"
}

function show(x) {
    return sprintf(x >= 1000 ? "%.0f" : x >= 100 ? "%.1f" : "%.2f", x)
}

END {
    if (!rowCount) exit
    print "case", "metric", "library", "median", "low", "high", "rounds", "to epoll", "to best" >csv
    line = sprintf("%-28s", workload)
    for (i = 1; i <= count; i++)
        if (present[order[i]]) line = line sprintf("%10s", order[i])
    print "\n" line sprintf("%10s%10s%8s", "to epoll", "to best", "spread")

    for (r = 1; r <= rowCount; r++) {
        row = rows[r]
        split(row, part, ",")
        best = epoll = ""
        for (i = 1; i <= count; i++) {
            library = order[i]
            if (!summarize(row, library)) continue
            if (library == "epoll") epoll = median
            if (library !~ /^lib(ev|event|uv)$/) continue
            if (best == "" || median < best) best = median
        }
        line = sprintf("%-28s", part[1] " " part[2])
        spread = "-"
        for (i = 1; i <= count; i++) {
            library = order[i]
            if (!present[library]) continue
            if (!summarize(row, library)) {
                line = line sprintf("%10s", "-")
                continue
            }
            line = line sprintf("%10s", show(median))
            if (library == "libae") {
                ours = ratio(median, epoll) "," ratio(median, best)
                if (median > 0) spread = sprintf("%.0f %%", (high - low) * 100 / median)
            }
            print part[1], part[2], library, median, low, high, rounds[row, library],
                ratio(median, epoll), ratio(median, best) >csv
        }
        split(ours, part, ",")
        print line sprintf("%10s%10s%8s", part[1], part[2], spread)
    }
}
