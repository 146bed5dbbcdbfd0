// Whatever the graph does, no id leaves the table.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "workloads/descriptor.hpp"
#include "workloads/input_values.hpp"
#include "workloads/value_range.hpp"

namespace derate {
namespace {

struct Ids {
    std::vector<std::int64_t> sizes;
    std::vector<std::int64_t> values;
};

/// A random program that leads ids to a table, and what it makes of them.
class RandomWay {
  public:
    explicit RandomWay(std::uint32_t seed) : random_{seed} {
        rows_ = pick(20, 400);
        Ids ids{.sizes = {pick(2, 4), pick(2, 5)}, .values = {}};
        text_ = "x0:int64" + shape(ids.sizes) + " w0:float32[" + std::to_string(rows_) + ",2] | ";
        last_ = "x0";
        auto const steps = pick(1, 5);
        for (std::int64_t i = 0; i < steps; ++i) ids.sizes = step(ids.sizes, i + 1 == steps);
        auto result = ids.sizes;
        result.push_back(2);
        text_ += "t99:float32" + shape(result) + "=aten.embedding(weight=w0,indices=" + last_ +
                 ") | t99";
    }

    [[nodiscard]] std::string const& text() const { return text_; }
    [[nodiscard]] std::int64_t rows() const { return rows_; }
    [[nodiscard]] Ids run(Ids ids) const {
        for (auto const& step : steps_) ids = step(ids);
        return ids;
    }

  private:
    using Sizes = std::vector<std::int64_t>;

    std::int64_t pick(std::int64_t low, std::int64_t high) {
        return std::uniform_int_distribution{low, high}(random_);
    }

    static std::string shape(Sizes const& sizes) {
        std::string text = "[";
        for (auto const size : sizes) text += (text.size() > 1 ? "," : "") + std::to_string(size);
        return text + "]";
    }

    std::string call(Sizes const& sizes, std::string const& what) {
        auto const name = "t" + std::to_string(next_++);
        text_ += name + ":int64" + shape(sizes) + "=aten." + what + " | ";
        return name;
    }

    void each(std::string const& name, Sizes const& sizes, std::string const& arguments,
              std::function<std::int64_t(std::int64_t)> const& f) {
        last_ = call(sizes, name + "(self=" + last_ + arguments + ")");
        steps_.push_back([f](Ids ids) {
            for (auto& value : ids.values) value = f(value);
            return ids;
        });
    }

    /// The element of the ids before that lies at (i, j) now.
    Sizes gather(Sizes to, std::function<std::int64_t(std::int64_t, std::int64_t)> const& from) {
        steps_.push_back([to, from](Ids const& ids) {
            Ids made{.sizes = to, .values = {}};
            for (std::int64_t i = 0; i < to[0]; ++i) {
                for (std::int64_t j = 0; j < to[1]; ++j) {
                    auto const at = from(i, j);
                    made.values.push_back(at < 0 ? 0 : ids.values[static_cast<std::size_t>(at)]);
                }
            }
            return made;
        });
        return to;
    }

    Sizes step(Sizes const& sizes, bool is_last) {
        auto const [rows, columns] = std::pair{sizes[0], sizes[1]};
        auto const before = last_;
        switch (pick(0, 11)) {
            case 0: {
                auto const c = pick(-9, 30);
                each("add.Tensor", sizes, ",other=" + std::to_string(c),
                     [c](auto id) { return id + c; });
                return sizes;
            }
            case 1: {
                auto const c = pick(1, 5);
                each("mul.Tensor", sizes, ",other=" + std::to_string(c),
                     [c](auto id) { return id * c; });
                return sizes;
            }
            case 2: {
                auto const c = pick(5, 500);
                each("remainder.Scalar", sizes, ",other=" + std::to_string(c),
                     [c](auto id) { return (id % c + c) % c; });
                return sizes;
            }
            case 3: {
                auto const c = pick(5, 90);
                each("clamp", sizes, ",min=2,max=" + std::to_string(c),
                     [c](auto id) { return std::clamp<std::int64_t>(id, 2, c); });
                return sizes;
            }
            case 4: {
                auto const c = pick(0, 90);
                each("rsub.Scalar", sizes, ",other=" + std::to_string(c),
                     [c](auto id) { return c - id; });
                return sizes;
            }
            case 5:
                last_ = call({columns, rows}, "transpose.int(self=" + before + ",dim0=0,dim1=1)");
                return gather({columns, rows},
                              [columns](auto i, auto j) { return j * columns + i; });
            case 6:
                if (columns < 2) return sizes;
                last_ = call({rows, columns - 1},
                             "slice.Tensor(self=" + before + ",dim=1,start=1,end=99)");
                return gather({rows, columns - 1},
                              [columns](auto i, auto j) { return i * columns + j + 1; });
            case 7: {
                // One column is shifted by itself.
                auto const k = pick(0, columns - 1);
                auto const c = pick(1, 60);
                std::string joined;
                for (std::int64_t j = 0; j < columns; ++j) {
                    auto column = call({rows}, "select.int(self=" + before +
                                                   ",dim=1,index=" + std::to_string(j) + ")");
                    if (j == k) {
                        column = call({rows}, "add.Tensor(self=" + column +
                                                  ",other=" + std::to_string(c) + ")");
                    }
                    joined += (j > 0 ? "," : "") + column;
                }
                last_ = call(sizes, "stack(tensors={" + joined + "},dim=1)");
                steps_.push_back([k, c, columns](Ids ids) {
                    for (std::size_t i = 0; i < ids.values.size(); ++i) {
                        if (static_cast<std::int64_t>(i) % columns == k) ids.values[i] += c;
                    }
                    return ids;
                });
                return sizes;
            }
            case 8: {
                // Shifted to the right, in place: the 0 that comes in is a row of every table.
                if (columns < 2 || !is_last) return sizes;
                auto const base =
                    call(sizes, "new_zeros(self=" + before + ",size=" + shape(sizes) + ")");
                auto const source = call({rows, columns - 1},
                                         "slice.Tensor(self=" + before + ",dim=1,start=0,end=-1)");
                auto const view = call({rows, columns - 1},
                                       "slice.Tensor(self=" + base + ",dim=1,start=1,end=99)");
                (void)call({rows, columns - 1}, "copy_(self=" + view + ",src=" + source + ")");
                last_ = base;
                return gather(
                    sizes, [columns](auto i, auto j) { return j == 0 ? -1 : i * columns + j - 1; });
            }
            case 9: {
                last_ = call({2 * rows, columns}, "cat(tensors={" + before + "," + before + "})");
                return gather({2 * rows, columns},
                              [rows, columns](auto i, auto j) { return i % rows * columns + j; });
            }
            case 10: {
                // Each column by a constant of its own.
                auto const step = pick(1, 20);
                auto const starts = call(
                    {columns}, "arange.start_step(start=0,end=" + std::to_string(columns * step) +
                                   ",step=" + std::to_string(step) + ")");
                last_ = call(sizes, "add.Tensor(self=" + before + ",other=" + starts + ")");
                steps_.push_back([columns, step](Ids ids) {
                    for (std::size_t i = 0; i < ids.values.size(); ++i) {
                        ids.values[i] += static_cast<std::int64_t>(i) % columns * step;
                    }
                    return ids;
                });
                return sizes;
            }
            default:
                last_ = call(sizes, "flip(self=" + before + ",dims=[0,1])");
                return gather(sizes, [rows, columns](auto i, auto j) {
                    return (rows - 1 - i) * columns + columns - 1 - j;
                });
        }
    }

    std::mt19937 random_;
    std::string text_;
    std::string last_;
    int next_ = 0;
    std::int64_t rows_ = 0;
    std::vector<std::function<Ids(Ids)>> steps_;
};

TEST(InputValues, NoIdLeavesTheTableWhateverTheGraphDoes) {
    int followed = 0;
    constexpr std::uint32_t programs = 2000;
    for (std::uint32_t seed = 0; seed < programs; ++seed) {
        RandomWay const way{seed};
        auto const program = parse_descriptor(way.text());
        auto const values = values_of(program);
        auto const input = values.inputs.at(0);
        // Where no value will do (clamped to what no row has), it says so.
        if (!values.notes.empty()) continue;
        ++followed;
        ASSERT_EQ(input.pattern, ValuePattern::spread) << way.text();
        auto const& sizes = program.values.at(0).sizes;
        auto const places = broadcast_elements(input.bounds_shape, sizes);
        for (auto const* bounds : {&input.low, &input.high}) {
            Ids ids{.sizes = sizes, .values = {}};
            for (auto const place : places) {
                ids.values.push_back(
                    static_cast<std::int64_t>((*bounds)[static_cast<std::size_t>(place)]));
            }
            for (auto const id : way.run(ids).values) {
                ASSERT_GE(id, 0) << way.text();
                ASSERT_LT(id, way.rows()) << way.text();
            }
        }
    }
    EXPECT_GE(followed, programs / 2);
}

}  // namespace
}  // namespace derate
