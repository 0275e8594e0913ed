# Sourced by scripts that build the tests for a target: builds the test framework for it, so that all
# targets are tested in the same way.

# makeCmocka SOURCE FOLDER COMPILER AR [FLAG...]: puts cmocka.h into FOLDER/include and libcmocka.a
# into FOLDER/lib. The flags define the features of current systems, which cmocka.c tests.
makeCmocka() {
    local source=$1 folder=$2 compiler=$3 ar=$4
    shift 4
    mkdir -p "$folder/include" "$folder/lib"
    cp "$source/include/cmocka.h" "$folder/include/"
    $compiler -O1 -w -D_GNU_SOURCE -DHAVE_SIGNAL_H -DHAVE_SIGLONGJMP -DHAVE_STRSIGNAL \
        -DHAVE_STRUCT_TIMESPEC -DHAVE_CLOCK_REALTIME -DHAVE_GCC_THREAD_LOCAL_STORAGE \
        -DHAVE_INTTYPES_H -DHAVE_STRINGS_H -D_UINTPTR_T_DEFINED "$@" -I"$source/include" \
        -c "$source/src/cmocka.c" -o "$folder/cmocka.o"
    $ar rcs "$folder/lib/libcmocka.a" "$folder/cmocka.o"
}
