#!/bin/sh
# Prints the mirrors from which the machine's own apt reads its lists, a line each. apt reads its
# configuration itself, so every form of it works.
apt-get --print-uris update 2>/dev/null | sed -n "s|^'\(.*\)/dists/.*|\1|p" | awk '!seen[$0]++'
