#include "launch/report/axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace troupe::report_page {
namespace {

// The step of 1, 2 or 5 times a power of ten that cuts `span` into nearest to `count` parts.
double nice_step(double span, int count) {
  const double raw = span / count;
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  const double part = raw / power;  // 1 to 10; the bounds are the geometric means
  return power * (part < 1.414 ? 1 : part < 3.162 ? 2 : part < 7.071 ? 5 : 10);
}

// Label with as many decimals as the step needs, in thousands, millions, ... where that is shorter.
std::string tick_text(double value, double step, double largest) {
  constexpr std::array<const char*, 5> kUnits = {"", "k", "M", "G", "T"};
  size_t unit = 0;
  while (largest >= (unit == 0 ? 10000 : 1000) && unit + 1 < kUnits.size()) {
    largest /= 1000;
    value /= 1000;
    step /= 1000;
    ++unit;
  }
  if (value == 0) return "0";
  if (largest < 1e-3) {
    const auto exponent = static_cast<int>(std::floor(std::log10(std::abs(value)) + 1e-9));
    return fmt::format("{:.3g}e{}", value / std::pow(10.0, exponent), exponent);
  }
  const int decimals = std::clamp(static_cast<int>(std::ceil(-std::log10(step) - 1e-9)), 0, 6);
  return fmt::format("{:.{}f}{}", value, decimals, kUnits[unit]);
}

// Powers far from 1 as powers: 0.001, 1, 1000, 1e-4, 1e7.
std::string logarithmic_tick_text(double value) {
  if (value >= 0.99e-3 && value < 0.99e5) return fmt::format("{:.6g}", value);
  const auto exponent = static_cast<int>(std::floor(std::log10(value) + 1e-9));
  return fmt::format("{:.3g}e{}", value / std::pow(10.0, exponent), exponent);
}

void add_linear_ticks(Axis& axis, const AxisOptions& options) {
  double step = nice_step(axis.high - axis.low, options.ticks);
  if (options.whole) step = std::max(step, 1.0);
  const double largest = std::max(std::abs(axis.low), std::abs(axis.high));
  for (auto i = std::ceil(axis.low / step - 1e-9); i * step <= axis.high + 1e-9 * step; ++i) {
    axis.ticks.push_back(i * step);
    axis.labels.push_back(tick_text(i * step, step, largest) + options.suffix);
  }
}

void add_logarithmic_ticks(Axis& axis, const AxisOptions& options) {
  constexpr double kMostDecades = 7;  // with a label each
  const double decades = std::log10(axis.high / axis.low);
  const std::vector<double> factors =
      decades > 2.5 ? std::vector<double>{1} : std::vector<double>{1, 2, 5};
  const double ratio = std::pow(10.0, std::max(1.0, std::ceil(decades / kMostDecades)));
  for (double power = std::pow(10.0, std::floor(std::log10(axis.low))); power <= axis.high;
       power *= ratio) {
    for (const double factor : factors) {
      const double tick = factor * power;
      if (tick < axis.low * 0.9999 || tick > axis.high * 1.0001) continue;
      axis.ticks.push_back(tick);
      axis.labels.push_back(logarithmic_tick_text(tick) + options.suffix);
    }
  }
}

}  // namespace

double Axis::place(double value) const {
  if (logarithmic) return std::log(value / low) / std::log(high / low);
  return (value - low) / (high - low);
}

Axis make_axis(const std::vector<double>& values, const AxisOptions& options) {
  Axis axis;
  std::vector<double> finite;
  for (const double v : values) {
    if (std::isfinite(v) && (!options.logarithmic || v > 0)) finite.push_back(v);
  }
  if (finite.empty()) finite = {options.logarithmic ? 1.0 : 0.0};
  axis.low = *std::min_element(finite.begin(), finite.end());
  axis.high = *std::max_element(finite.begin(), finite.end());
  if (options.logarithmic) {
    axis.logarithmic = true;
    axis.low /= 1.15;
    axis.high *= 1.15;
    add_logarithmic_ticks(axis, options);
    return axis;
  }
  if (options.from_zero) {
    axis.low = std::min(axis.low, 0.0);
    axis.high = std::max(axis.high, 0.0);
  }
  if (axis.high - axis.low <= 1e-12 * std::max(std::abs(axis.low), std::abs(axis.high))) {
    const double room = axis.high == 0 ? 1 : 0.1 * std::abs(axis.high);
    axis.high += room;
    if (!options.from_zero || axis.low < 0) axis.low -= room;
  } else if (!options.tight) {
    const double room = 0.06 * (axis.high - axis.low);
    axis.high += room;
    if (!options.from_zero || axis.low < 0) axis.low -= room;
  }
  add_linear_ticks(axis, options);
  return axis;
}

}  // namespace troupe::report_page
