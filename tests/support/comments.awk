# Prints the comments of C files, and all lines of other files except the code of scripts, each with its
# file and line number. tests/checks/lint.sh checks the words in them.
FNR == 1 { inside = 0 }
FILENAME ~ /\.[ch]$/ && /^\/\/\// { print FILENAME ":" FNR ": " $0; next }
FILENAME ~ /\.[ch]$/ {
    line = $0
    text = ""
    while (line != "") {
        if (inside) {
            end = index(line, "*/")
            text = text " " (end ? substr(line, 1, end - 1) : line)
            line = end ? substr(line, end + 2) : ""
            inside = !end
        } else {
            start = index(line, "/*")
            line = start ? substr(line, start + 2) : ""
            inside = start > 0
        }
    }
    if (text != "") print FILENAME ":" FNR ":" text
    next
}
FILENAME ~ /\.sh$/ && !/^ *#/ { next }
{ print FILENAME ":" FNR ": " $0 }
