#pragma once
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace derate {

/// Data from outside the program is wrong: a file, a flag, the environment.
///
/// `what()` reads "<where>: <problem> (<what is required>)", e.g.
/// "cpu/i7-12700K/efficiency_curves.json#/efficiency_curves/conv2d/data_points/3/flops:
///  got -1e6 (must be positive)".
class InputError : public std::runtime_error {
  public:
    InputError(std::string_view where, std::string_view problem, std::string_view required)
        : std::runtime_error{std::string{where} + ": " + std::string{problem} + " (" +
                             std::string{required} + ")"},
          where_{where},
          problem_{problem},
          required_{required} {}

    // The parts again: what() cannot be taken apart where a path holds "#/", ": " or brackets.
    [[nodiscard]] std::string const& where() const { return where_; }
    [[nodiscard]] std::string const& problem() const { return problem_; }
    [[nodiscard]] std::string const& required() const { return required_; }

  private:
    std::string where_;
    std::string problem_;
    std::string required_;
};

/// The machine refuses what was asked: no LibTorch here, the output is locked, another run is on.
/// `what()` has the form of InputError; the program ends with exit code 4 instead of 2.
class EnvironmentRefused : public std::runtime_error {
  public:
    EnvironmentRefused(std::string_view where, std::string_view problem, std::string_view required)
        : std::runtime_error{std::string{where} + ": " + std::string{problem} + " (" +
                             std::string{required} + ")"} {}
};

/// The candidate that a person who typed `given` most likely meant.
///
/// \return the candidate of least Levenshtein distance, or empty when even that one differs in
///         more than a third of its letters (a far guess confuses more than none)
[[nodiscard]] std::string nearest_name(std::string_view given,
                                       std::span<std::string const> candidates);

}  // namespace derate
