#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/input_error.hpp"
#include "shapes/shape_expressions.hpp"

namespace derate {
namespace {

constexpr int deepest = 200;

/// A Python operator between two operands; higher binds tighter.
struct Infix {
    std::string_view text;
    int precedence;
    ShapeFunction function;
};
constexpr int precedence_of_not = 3;
constexpr int precedence_of_relations = 4;
constexpr int precedence_of_signs = 11;
constexpr int precedence_of_powers = 12;
// Of two that begin alike the longer stands first.
constexpr std::array infixes{
    Infix{"or", 1, ShapeFunction::either},
    Infix{"and", 2, ShapeFunction::both},
    Infix{"==", precedence_of_relations, ShapeFunction::equal},
    Infix{"!=", precedence_of_relations, ShapeFunction::unequal},
    Infix{"<<", 8, ShapeFunction::left_shift},
    Infix{">>", 8, ShapeFunction::right_shift},
    Infix{"<=", precedence_of_relations, ShapeFunction::less_equal},
    Infix{">=", precedence_of_relations, ShapeFunction::greater_equal},
    Infix{"<", precedence_of_relations, ShapeFunction::less},
    Infix{">", precedence_of_relations, ShapeFunction::greater},
    Infix{"|", 5, ShapeFunction::either},
    Infix{"^", 6, ShapeFunction::exclusive},
    Infix{"&", 7, ShapeFunction::both},
    Infix{"+", 9, ShapeFunction::add},
    Infix{"-", 9, ShapeFunction::subtract},
    Infix{"**", precedence_of_powers, ShapeFunction::power},
    Infix{"*", 10, ShapeFunction::multiply},
    Infix{"//", 10, ShapeFunction::floor_divide},
    Infix{"/", 10, ShapeFunction::true_divide},
    Infix{"%", 10, ShapeFunction::modulus},
};

bool begins_word(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool continues_word(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.';
}
bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

class Parser {
  public:
    Parser(std::string_view text, Division division, ShapeExpressions& expressions,
           ShapeNames const& names, std::string_view where)
        : text_{text},
          division_{division},
          expressions_{expressions},
          names_{names},
          where_{where} {}

    ExpressionId parse() {
        auto const result = expression(0);
        if (next() != '\0') refuse("an operator or the end");
        return result;
    }

  private:
    [[noreturn]] void refuse(std::string_view required) const {
        constexpr std::size_t shown = 60;
        auto text = std::string{text_.substr(0, shown)};
        if (text_.size() > shown) text += "...";
        throw InputError{where_,
                         "the shape expression \"" + text + "\" is not understood at character " +
                             std::to_string(at_ + 1),
                         required};
    }

    /// The next character that is no space; '\0' at the end.
    char next() {
        while (at_ < text_.size() && text_[at_] == ' ') ++at_;
        return at_ < text_.size() ? text_[at_] : '\0';
    }
    bool take(std::string_view token) {
        next();
        if (!text_.substr(at_).starts_with(token)) return false;
        bool const is_word = begins_word(token.back());
        auto const after = at_ + token.size();
        if (is_word && after < text_.size() && continues_word(text_[after])) return false;
        at_ = after;
        return true;
    }
    void expect(std::string_view token) {
        if (!take(token)) refuse(token);
    }

    ExpressionId call(ShapeFunction function, std::vector<ExpressionId> arguments) {
        if (!takes(function, arguments.size())) refuse("as many arguments as the function takes");
        return expressions_.call(function, std::move(arguments));
    }

    [[nodiscard]] ShapeFunction meant(ShapeFunction function) const {
        bool const is_exact =
            function == ShapeFunction::true_divide && division_ == Division::exact;
        return is_exact ? ShapeFunction::exact_divide : function;
    }

    Infix const* take_infix(int least_precedence) {
        for (auto const& infix : infixes) {
            auto const before = at_;
            if (!take(infix.text)) continue;
            if (infix.precedence >= least_precedence) return &infix;
            at_ = before;
            return nullptr;
        }
        return nullptr;
    }

    ExpressionId expression(int least_precedence) {
        if (++depth_ > deepest) refuse("at most " + std::to_string(deepest) + " levels");
        auto left = prefix();
        // "a < b < c" is "a < b and b < c".
        std::optional<ExpressionId> last_related;
        while (auto const* infix = take_infix(least_precedence)) {
            bool const is_power = infix->precedence == precedence_of_powers;
            auto const right = expression(is_power ? precedence_of_signs : infix->precedence + 1);
            if (infix->precedence != precedence_of_relations) {
                left = call(meant(infix->function), {left, right});
                last_related.reset();
                continue;
            }
            auto const relation = call(infix->function, {last_related.value_or(left), right});
            left = last_related ? call(ShapeFunction::both, {left, relation}) : relation;
            last_related = right;
        }
        --depth_;
        return left;
    }

    ExpressionId prefix() {
        if (take("not")) {
            return call(ShapeFunction::negation, {expression(precedence_of_not)});
        }
        if (take("-")) return call(ShapeFunction::negate, {expression(precedence_of_signs)});
        if (take("+")) return expression(precedence_of_signs);
        if (take("~")) return call(ShapeFunction::negation, {expression(precedence_of_signs)});
        if (take("(")) {
            auto const inner = expression(0);
            expect(")");
            return inner;
        }
        auto const first = next();
        if (is_digit(first) || first == '.') return number();
        if (begins_word(first)) return name();
        refuse("a number, a name or '('");
    }

    ExpressionId number() {
        auto const begin = at_;
        bool is_real = false;
        while (at_ < text_.size() &&
               (is_digit(text_[at_]) || text_[at_] == '.' || text_[at_] == 'e' ||
                text_[at_] == 'E' || follows_exponent())) {
            is_real = is_real || !is_digit(text_[at_]);
            ++at_;
        }
        auto const digits = text_.substr(begin, at_ - begin);
        return expressions_.constant(is_real ? real(digits) : integer(digits));
    }
    [[nodiscard]] bool follows_exponent() const {
        bool const is_sign = text_[at_] == '-' || text_[at_] == '+';
        return is_sign && at_ > 0 && (text_[at_ - 1] == 'e' || text_[at_ - 1] == 'E');
    }
    ShapeValue integer(std::string_view digits) const {
        std::int64_t value = 0;
        auto const [end, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), value);
        if (end != digits.data() + digits.size()) refuse("an integer");
        return error == std::errc{} ? ShapeValue::of_integer(value) : ShapeValue{};
    }
    ShapeValue real(std::string_view digits) const {
        double value = 0;
        auto const [end, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), value);
        if (error != std::errc{} || end != digits.data() + digits.size()) refuse("a number");
        return ShapeValue::of_real(value);
    }

    std::string_view word() {
        auto const begin = at_;
        while (at_ < text_.size() && continues_word(text_[at_])) ++at_;
        return text_.substr(begin, at_ - begin);
    }

    std::string_view quoted() {
        auto const quote = next();
        if (quote != '\'' && quote != '"') refuse("a name in quotes");
        auto const end = text_.find(quote, at_ + 1);
        if (end == std::string_view::npos) refuse("the end of the name");
        auto const inside = text_.substr(at_ + 1, end - at_ - 1);
        at_ = end + 1;
        return inside;
    }

    /// "integer=True" and its like, which say of what kind a symbol is.
    bool take_keyword_argument() {
        auto const before = at_;
        if (begins_word(next())) {
            word();
            bool const is_keyword = take("=") && (at_ >= text_.size() || text_[at_] != '=');
            if (is_keyword) {
                while (next() != ',' && next() != ')' && next() != '\0') ++at_;
                return true;
            }
        }
        at_ = before;
        return false;
    }

    void end_of_call() {
        while (take(",")) {
            if (!take_keyword_argument()) refuse("')'");
        }
        expect(")");
    }

    ShapeValue signed_integer() {
        bool const is_negative = take("-");
        next();
        auto const begin = at_;
        while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
        auto const value = integer(text_.substr(begin, at_ - begin));
        return is_negative ? derate::evaluate(ShapeFunction::negate, std::array{value}) : value;
    }

    ExpressionId name() {
        auto const begin = at_;
        auto const word_read = word();
        if (word_read == "true" || word_read == "True") {
            return expressions_.constant(ShapeValue::of_truth(true));
        }
        if (word_read == "false" || word_read == "False") {
            return expressions_.constant(ShapeValue::of_truth(false));
        }
        if (word_read == "oo" || word_read == "int_oo" || word_read == "inf") {
            return expressions_.constant(
                ShapeValue::of_real(std::numeric_limits<double>::infinity()));
        }
        if (next() == '[') return subscripted(begin);
        if (!take("(")) return expressions_.symbol(word_read);
        if (word_read == "Symbol" || word_read == "Dummy") {
            auto const symbol = expressions_.symbol(quoted());
            end_of_call();
            return symbol;
        }
        if (word_read == "Integer") {
            auto const value = signed_integer();
            end_of_call();
            return expressions_.constant(value);
        }
        if (word_read == "Rational") {
            auto const above = signed_integer();
            expect(",");
            auto const below = signed_integer();
            end_of_call();
            return expressions_.constant(
                derate::evaluate(ShapeFunction::exact_divide, std::array{above, below}));
        }
        if (word_read == "Float") {
            auto const value = real(quoted());
            end_of_call();
            return expressions_.constant(value);
        }
        if (word_read == "Infinity" || word_read == "IntInfinity") {
            expect(")");
            return expressions_.constant(
                ShapeValue::of_real(std::numeric_limits<double>::infinity()));
        }
        if (word_read == "NegativeInfinity" || word_read == "NegativeIntInfinity") {
            expect(")");
            return expressions_.constant(
                ShapeValue::of_real(-std::numeric_limits<double>::infinity()));
        }
        auto const function = shape_function_named(word_read);
        if (!function) {
            at_ = begin;
            refuse("functions of sizes that PyTorch 2.15 writes");
        }
        return call(*function, arguments());
    }

    /// Behind "f(". A pair of Piecewise, ExprCondPair(a, b), counts as its two members.
    std::vector<ExpressionId> arguments() {
        std::vector<ExpressionId> read;
        if (take(")")) return read;
        do {
            if (take_keyword_argument()) continue;
            bool const is_pair = take("ExprCondPair");
            if (is_pair) expect("(");
            read.push_back(expression(0));
            if (is_pair) {
                expect(",");
                read.push_back(expression(0));
                expect(")");
            }
        } while (take(","));
        expect(")");
        return read;
    }

    /// "L['x'].size()[1]", "L['xs'][0].size()[1]", "L['n']".
    ExpressionId subscripted(std::size_t begin) {
        auto end = at_;
        while (take("[")) {
            if (is_digit(next())) {
                signed_integer();
            } else {
                quoted();
            }
            expect("]");
            end = at_;
        }
        std::optional<std::int64_t> dimension;
        auto const path = text_.substr(begin, end - begin);
        if (take(".size()[")) {
            dimension = signed_integer().integer();
            expect("]");
        }
        auto const meant_by_it = names_ ? names_(path, dimension) : std::nullopt;
        if (!meant_by_it) {
            at_ = begin;
            refuse("an input of the model");
        }
        return *meant_by_it;
    }

    std::string_view text_;
    Division division_;
    ShapeExpressions& expressions_;
    ShapeNames const& names_;
    std::string_view where_;
    std::size_t at_ = 0;
    int depth_ = 0;
};

}  // namespace

ExpressionId parse_shape_expression(std::string_view text, Division division,
                                    ShapeExpressions& expressions, ShapeNames const& names,
                                    std::string_view where) {
    return Parser{text, division, expressions, names, where}.parse();
}

}  // namespace derate
