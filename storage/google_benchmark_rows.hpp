#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace derate {

/// JSON as Google Benchmark writes it: strict, but that NaN and Infinity stand bare where a counter
/// is not finite. They become null, which says as much.
///
/// \throws InputError  as parse_json
[[nodiscard]] nlohmann::json parse_google_benchmark(std::string_view text, std::string_view where);

/// One row of Google Benchmark; fields of another type than its own are faults of the file.
class BenchmarkRow {
  public:
    /// \param row    outlives this
    /// \param names  of all rows of the file; outlives this
    /// \throws InputError  no object, or one without a name
    BenchmarkRow(nlohmann::json const& row, std::string where, std::set<std::string> const& names);

    [[nodiscard]] std::string const& where() const { return where_; }
    [[nodiscard]] std::string const& name() const { return name_; }

    /// \return empty where the field is absent or null
    [[nodiscard]] std::optional<std::string> text(char const* key) const;
    [[nodiscard]] std::optional<double> number(char const* key) const;
    [[nodiscard]] bool flag(char const* key) const;
    /// \return empty where the field is absent; -1 stands for a count no int holds
    [[nodiscard]] std::optional<int> count(char const* key) const;
    /// \param time  in the row's own unit
    [[nodiscard]] double ms(double time) const;

    /// "mean", "stddev", "BigO", ...; empty for a repetition. Where there is no run_type (before
    /// version 1.5), the name tells: "f_mean" beside "f".
    [[nodiscard]] std::string aggregate() const;
    [[nodiscard]] std::string case_name() const;

  private:
    [[nodiscard]] nlohmann::json const* find(char const* key) const;
    [[noreturn]] void fail(char const* key, char const* required) const;

    nlohmann::json const& row_;
    std::string where_;
    std::set<std::string> const& names_;
    std::string name_;
};

/// The names of all rows, as BenchmarkRow wants them.
///
/// \param rows  "benchmarks" of the file
[[nodiscard]] std::set<std::string> names_of_rows(nlohmann::json const& rows);

}  // namespace derate
