# Sourced by the scripts that test the contents of a page.

# block FILE LANGUAGE NUMBER: prints one block of this language.
block() {
    awk -v fence='```'"$2" -v wanted="$3" '
        $0 == fence { count++; inside = count == wanted; next }
        /^```/ { inside = 0 }
        inside' "$1"
}

# blocks FILE LANGUAGE: prints how many there are.
blocks() {
    grep -cx '```'"$2" "$1"
}
