// Stopping on request: signals set a flag that the training loop asks for before every step and
// after every batch of an evaluation.
#pragma once

namespace troupe {

// SIGTERM, SIGINT, SIGUSR1 and, unless it is ignored (nohup), SIGHUP, which the end of a terminal
// sends, from now on only set the flag; a second SIGINT more than half a second after the first
// ends the process at once. Writing to a pipe without a reader fails and ends nothing. First thing
// in main, so that no early signal kills a rank. Signals that were held back come now.
void install_stop_handlers();
// Holds them back, also over an exec.
void hold_stop_signals();
// A rank that mpirun has started is killed when its mpirun or daemon dies, even while it is stopped
// (SIGSTOP): no rank goes on unseen.
void end_with_launcher();
// For commands that never ask: from now on the signals end the process again, and one that has come
// already ends it at once. SIGUSR1 stays harmless.
void restore_stop_signals();

// A second SIGINT is only counted, too: for a supervisor that must clean up after itself.
void keep_second_interrupt();

bool stop_requested();
// How often a signal has come.
int stop_count();
// How often SIGCONT or SIGTERM has come: with these mpirun begins to end a rank.
int ending_count();

}  // namespace troupe
