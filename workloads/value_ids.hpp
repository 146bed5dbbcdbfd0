#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <vector>

namespace derate {

/// Index into ExportedProgram::values.
using ValueId = std::int32_t;

/// The tensors of one call, in order. Calls name a few, and every count of a model asks for them
/// several times a call, so that so few lie in the object itself; more lie on the heap.
class ValueIds {
  public:
    ValueIds() = default;
    ValueIds(std::initializer_list<ValueId> ids) {
        for (auto const id : ids) push_back(id);
    }

    void push_back(ValueId id) {
        if (many_.empty()) {
            if (count_ < few_.size()) {
                few_[count_++] = id;
                return;
            }
            many_.assign(few_.begin(), few_.end());
        }
        many_.push_back(id);
        ++count_;
    }
    template <class Ids>
    void append(Ids const& ids) {
        for (auto const id : ids) push_back(id);
    }

    [[nodiscard]] std::size_t size() const { return count_; }
    [[nodiscard]] bool empty() const { return count_ == 0; }
    [[nodiscard]] ValueId const* data() const { return many_.empty() ? few_.data() : many_.data(); }
    [[nodiscard]] ValueId const* begin() const { return data(); }
    [[nodiscard]] ValueId const* end() const { return data() + count_; }
    [[nodiscard]] ValueId operator[](std::size_t i) const { return data()[i]; }
    [[nodiscard]] ValueId front() const { return *data(); }
    /// \throws std::out_of_range
    [[nodiscard]] ValueId at(std::size_t i) const {
        if (i >= count_) throw std::out_of_range{"a call names fewer tensors"};
        return data()[i];
    }
    operator std::vector<ValueId>() const { return {begin(), end()}; }

    friend bool operator==(ValueIds const& a, ValueIds const& b) {
        return std::equal(a.begin(), a.end(), b.begin(), b.end());
    }
    friend bool operator==(ValueIds const& a, std::vector<ValueId> const& b) {
        return std::equal(a.begin(), a.end(), b.begin(), b.end());
    }

  private:
    std::array<ValueId, 6> few_{};
    std::vector<ValueId> many_;  ///< all of them, where they are more
    std::size_t count_ = 0;
};

}  // namespace derate
