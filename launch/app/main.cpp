#include <string>
#include <vector>

#include "launch/app/command_table.h"
#include "launch/app/output.h"
#include "launch/job/spin_limit.h"
#include "launch/job/stop_request.h"

int main(int argc, char** argv) {
  troupe::output::open_standard_descriptors();
  troupe::limit_spinning(argv);
  troupe::install_stop_handlers();
  troupe::end_with_launcher();
  return troupe::run_program(std::vector<std::string>(argv + 1, argv + argc));
}
