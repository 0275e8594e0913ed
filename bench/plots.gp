# Draws DIR/*.svg from the CSV files there. The background is left out, and all lines and words are
# of middling brightness, so that they can be read on white and on black.
#
#     gnuplot -e 'dir = "doc/bench"; caption = "machine, date, versions"' bench/plots.gp

grey = "#848d97"
set datafile separator ","
set datafile missing NaN
set border 3 linecolor rgb grey
set tics nomirror textcolor rgb grey
set key textcolor rgb grey
set title textcolor rgb grey
set xlabel textcolor rgb grey
set ylabel textcolor rgb grey
set grid linecolor rgb grey linewidth 0.3

libraries = "libae original libev libevent libuv floor"
colours = "#e5534b #c69026 #539bf5 #57ab5a #b083f0 #848d97"
colour(i) = word(colours, i)
width(i) = i == 1 ? 3 : 1.5

# The columns: case, metric, library, median, low, high.
pick(metric, i, column) = \
    strcol(2) eq metric && strcol(3) eq word(libraries, i) ? column(column) : NaN

set terminal svg size 900,760 font "sans-serif,13" noenhanced
set output dir."/timers.svg"
set multiplot layout 2,2 title "Timers: nanoseconds, against how many are pending\n".caption \
    textcolor rgb grey
set logscale xy
set format x "10^%T"
set xtics 10, 10
set key top left
do for [metric in "create churn poll fire"] {
    set title metric
    plot for [i = 1:5] dir."/timers.csv" using 1:(pick(metric, i, 4)) with linespoints \
        linecolor rgb colour(i) linewidth width(i) pointtype 7 pointsize 0.4 title word(libraries, i)
    unset key
}
unset multiplot
