// How long the threads of a rank wait for each other by spinning.
#pragma once

namespace troupe {

// OpenMP's threads (libgomp) spin for milliseconds before they sleep. Where another program holds a
// core, the thread that is missing could have had the core of one that spins: measured with two
// threads on two cores beside one busy program, a training step took 2656 ms instead of 409, with a
// limit 770; generation wrote 46 tokens/s, with a limit 870. Without other programs a limit of 45
// us costs nothing there. 30 us cost generation 0.05 of its tokens/s, because threads fell asleep
// within a token; 60 us cost it a quarter of them beside a busy program.
//
// libgomp takes GOMP_SPINCOUNT from the environment when it is loaded, before main. It asks getenv,
// and that of the program (spin_limit.cpp) answers with the limit. Where the user has set
// GOMP_SPINCOUNT or OMP_WAIT_POLICY there is none, nor on machines of more than 16 usable cores,
// where waking many threads costs more and whose programs seldom share them.
//
// First thing in main: where a libgomp looked for it in another way, sets GOMP_SPINCOUNT and starts
// the program again, with stop requests held back until install_stop_handlers. Goes on without
// where that fails.
void limit_spinning(char** argv);

}  // namespace troupe
