// The commands of this build, in no order.
#pragma once

#include <deque>

#include "launch/app/command.h"

namespace troupe {

std::deque<Command> commands_of_this_build();

}  // namespace troupe
