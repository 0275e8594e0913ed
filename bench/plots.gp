# Draws DIR/*.svg from the CSV files there. The background is left out, and all lines and words are
# of middling brightness, so that they can be read on white and on black.
#
#     gnuplot -e 'dir = "bench/results"; caption = "machine, date, versions"' bench/plots.gp

grey = "#848d97"
set datafile separator ","
set datafile missing NaN
set datafile columnheaders
set border 3 linecolor rgb grey
set tics nomirror textcolor rgb grey
set key textcolor rgb grey
set title textcolor rgb grey
set xlabel textcolor rgb grey
set ylabel textcolor rgb grey
set grid linecolor rgb grey linewidth 0.3

libraries = "libae original libev libevent libuv epoll"
colours = "#e5534b #c69026 #539bf5 #57ab5a #b083f0 #848d97"
colour(i) = word(colours, i)
width(i) = i == 1 ? 3 : 1.5

# The columns: case, metric, library, median, low, high.
pick(metric, i, column) = \
    strcol(2) eq metric && strcol(3) eq word(libraries, i) ? column(column) : NaN

set terminal svg size 1080,760 font "sans-serif,13" noenhanced
set output dir."/timers.svg"
set multiplot layout 2,3 title "Timers: nanoseconds, against how many are pending\n".caption \
    textcolor rgb grey
set logscale xy
set xtics ("10" 10, "100" 100, "1k" 1e3, "10k" 1e4, "100k" 1e5, "1M" 1e6)
set xrange [8:1.3e6]
set key top left
do for [metric in "create churn restart poll fire memory"] {
    set title metric eq "memory" ? "memory (bytes)" : metric
    plot for [i = 1:5] dir."/timers.csv" \
        using 1:($1 < 10 ? NaN : pick(metric, i, 4)) with linespoints linecolor rgb colour(i) \
        linewidth width(i) pointtype 7 pointsize 0.4 title word(libraries, i)
    unset key
}
unset multiplot

# Bars: instructions, which the load and the speed of the machine do not change.
set terminal svg size 900,420 font "sans-serif,13" noenhanced
set output dir."/dispatch.svg"
set multiplot layout 1,2 title "Instructions in user space\n".caption textcolor rgb grey
unset logscale
set autoscale x
set yrange [0:*]
set style fill solid 0.85 noborder
set boxwidth 0.9
place(names, i) = 7 * (sum [n = 1:3] word(strcol(1), 1) eq word(names, n) ? n : 0) + i - 3.5
instructions(i) = pick("instructions", i, 4)

set title "Per event of a pipe chain"
set xlabel "ready pairs"
set xtics ("1 of 100" 7, "4 of 100" 14, "100 of 400" 21)
set key top right
set offsets 0, 0, graph 0.35, 0
plot for [i = 1:6] dir."/dispatch.csv" using (place("1 4 100", i)):(instructions(i)) with boxes \
    linecolor rgb colour(i) title word(libraries, i)
unset key
unset offsets
set title "Per round trip, two changes of interest"
set xlabel "round trips at once"
set xtics ("1" 7, "2" 14, "10" 21)
plot for [i = 1:6] dir."/interest.csv" using (place("1 2 10", i)):(instructions(i)) \
    with boxes linecolor rgb colour(i) notitle
unset multiplot
