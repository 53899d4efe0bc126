// Command bench measures build cache servers side by side: what one operation
// costs the server's process in CPU time, how many it answers a second, how
// long callers wait, and how much memory it takes.
//
// It starts the servers it compares itself, larder and the yardstick in
// bench/floor, and takes others that already run. The servers take turns,
// round by round, at the same operations, so that what disturbs the machine
// disturbs all of them; ratios are taken within a round and their median is
// reported. README.md beside this file says how to use it and how to read the
// figures.
package main
