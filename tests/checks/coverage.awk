# Reads the output of gcov -t -b -c of several builds of the same files, and prints for each file how many
# lines and branches were reached by at least one build. Fails if one was not reached, or if one of the
# files in `sources` is missing. A line that a build leaves out does not count for this build.

$1 ~ /:$/ && $0 ~ /^ +-: +0:Source:/ {
    file = $0
    sub(/.*Source:/, "", file)
    next
}
/^ *[0-9#=-]+\*?: *[0-9]+:/ {
    split($0, parts, ":")
    count = parts[1] + 0
    line = parts[2] + 0
    branch = 0
    if (parts[1] ~ /-/) next
    if (!((file, line) in lineCount)) lineCount[file, line] = 0
    lineCount[file, line] += count
    next
}
/^branch/ {
    key = file SUBSEP line SUBSEP branch++
    if (!(key in branchCount)) branchCount[key] = 0
    if ($3 == "taken") branchCount[key] += $4
}
END {
    for (key in lineCount) {
        split(key, parts, SUBSEP)
        lines[parts[1]]++
        if (lineCount[key]) linesReached[parts[1]]++
        else missing[parts[1]] = missing[parts[1]] " " parts[2]
    }
    for (key in branchCount) {
        split(key, parts, SUBSEP)
        branches[parts[1]]++
        if (branchCount[key]) branchesReached[parts[1]]++
        else missing[parts[1]] = missing[parts[1]] " " parts[2] "(branch " parts[3] ")"
    }
    count = split(sources, names, " ")
    for (i = 1; i <= count; i++) {
        file = names[i]
        printf "%-14s lines %4d of %4d   branches %4d of %4d%s%s\n", file, linesReached[file], \
            lines[file], branchesReached[file], branches[file], \
            missing[file] ? "   missing:" : "", missing[file]
        if (missing[file] || !lines[file] || !branches[file]) short = 1
    }
    exit short
}
