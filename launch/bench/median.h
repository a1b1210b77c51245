// The middle of repeated measurements: what else the machine does hardly moves it.
#pragma once

#include <vector>

namespace troupe {

// Of at least one value; of an even number of them the mean of the two in the middle.
double median(std::vector<double> values);

}  // namespace troupe
