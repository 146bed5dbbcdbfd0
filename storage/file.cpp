#include "storage/file.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <span>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

#include "core/input_error.hpp"

namespace derate {
namespace fs = std::filesystem;
namespace {

class FileDescriptor {
  public:
    explicit FileDescriptor(int descriptor) : descriptor_{descriptor} {}
    FileDescriptor(FileDescriptor const&) = delete;
    FileDescriptor& operator=(FileDescriptor const&) = delete;
    ~FileDescriptor() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }

    [[nodiscard]] int get() const { return descriptor_; }
    [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }
    /// False when the last write failed only now (a full network disk says so at close).
    [[nodiscard]] bool close() { return ::close(std::exchange(descriptor_, -1)) == 0; }

  private:
    int descriptor_;
};

std::string system_message(int error) { return std::generic_category().message(error); }

bool write_all(int descriptor, std::string_view bytes) {
    while (!bytes.empty()) {
        auto const written = ::write(descriptor, bytes.data(), bytes.size());
        if (written < 0) {
            if (errno == EINTR) continue;
            return false;
        }
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
}

[[noreturn]] void refuse_write(fs::path const& path, int error) {
    throw InputError{path.string(), "cannot write: " + system_message(error),
                     "a writable path with room on its disk"};
}

fs::path temporary_beside(fs::path const& path) {
    std::random_device entropy;
    return path.parent_path() /
           fmt::format(".{}.{:08x}{:08x}.tmp", path.filename().string(), entropy(), entropy());
}

/// Builds the document and holds the rules that nlohmann's own builder does not know.
class StrictBuilder : public nlohmann::json_sax<nlohmann::json> {
  public:
    explicit StrictBuilder(std::string_view where) : where_{where} {}

    bool null() override { return place(nullptr); }
    bool boolean(bool value) override { return place(value); }
    bool number_integer(number_integer_t value) override { return place(value); }
    bool number_unsigned(number_unsigned_t value) override { return place(value); }
    bool number_float(number_float_t value, string_t const&) override { return place(value); }
    bool string(string_t& value) override { return place(std::move(value)); }
    bool binary(binary_t&) override { return false; }
    bool start_object(std::size_t) override { return open(nlohmann::json::object()); }
    bool end_object() override { return close(); }
    bool start_array(std::size_t) override { return open(nlohmann::json::array()); }
    bool end_array() override { return close(); }

    bool key(string_t& name) override {
        auto const [entry, is_new] =
            open_.back()->get_ref<nlohmann::json::object_t&>().emplace(std::move(name), nullptr);
        if (!is_new) {
            throw InputError{where_, "key \"" + entry->first + "\" stands twice in one object",
                             "each key once"};
        }
        slot_ = &entry->second;
        return true;
    }

    bool parse_error(std::size_t, std::string const&,
                     nlohmann::json::exception const& error) override {
        std::string_view message{error.what()};
        if (auto const tag = message.find("] "); tag != message.npos)
            message.remove_prefix(tag + 2);
        throw InputError{where_, message, "valid JSON"};
    }

    nlohmann::json root;

  private:
    template <class Value>
    bool place(Value&& value) {
        put(std::forward<Value>(value));
        return true;
    }

    nlohmann::json* put(nlohmann::json value) {
        if (open_.empty()) {
            root = std::move(value);
            return &root;
        }
        if (open_.back()->is_array()) {
            auto& array = open_.back()->get_ref<nlohmann::json::array_t&>();
            return &array.emplace_back(std::move(value));
        }
        *slot_ = std::move(value);
        return slot_;
    }

    bool open(nlohmann::json value) {
        if (open_.size() >= static_cast<std::size_t>(json_depth_limit)) {
            throw InputError{where_,
                             "nested deeper than " + std::to_string(json_depth_limit) + " levels",
                             "at most " + std::to_string(json_depth_limit)};
        }
        open_.push_back(put(std::move(value)));
        return true;
    }

    bool close() {
        open_.pop_back();
        return true;
    }

    std::string_view where_;
    // Pointers stay valid: a container grows only while it is the innermost open one.
    std::vector<nlohmann::json*> open_;
    nlohmann::json* slot_ = nullptr;
};

bool is_list_of_numbers(nlohmann::json const& json) {
    return json.is_array() &&
           std::all_of(json.begin(), json.end(), [](auto const& item) { return item.is_number(); });
}

/// On one line, or sixteen numbers a line.
void append_numbers(std::string& text, nlohmann::json const& json, std::size_t indent) {
    constexpr std::size_t a_line = 16;
    bool const wrapped = json.size() > a_line;
    auto const break_line = [&](std::size_t blanks) { text.append("\n").append(blanks, ' '); };
    text += '[';
    for (std::size_t i = 0; i < json.size(); ++i) {
        if (i > 0) text += ',';
        if (wrapped && i % a_line == 0) {
            break_line(indent + 2);
        } else if (i > 0) {
            text += ' ';
        }
        text += json[i].dump();
    }
    if (wrapped) break_line(indent);
    text += ']';
}

void append_pretty(std::string& text, nlohmann::json const& json, std::size_t indent) {
    bool const is_container = json.is_object() || json.is_array();
    if (!is_container || json.empty()) {
        text += json.dump();
        return;
    }
    if (is_list_of_numbers(json)) {
        append_numbers(text, json, indent);
        return;
    }
    text += json.is_object() ? '{' : '[';
    bool first = true;
    for (auto const& [key, value] : json.items()) {
        text += first ? "\n" : ",\n";
        first = false;
        text.append(indent + 2, ' ');
        if (json.is_object()) text += nlohmann::json(key).dump() + ": ";
        append_pretty(text, value, indent + 2);
    }
    text += '\n';
    text.append(indent, ' ');
    text += json.is_object() ? '}' : ']';
}

std::string hexadecimal(std::span<unsigned char const> bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string hex;
    for (unsigned char const byte : bytes) {
        hex += digits[byte >> 4];
        hex += digits[byte & 15];
    }
    return hex;
}

}  // namespace

std::string read_text(fs::path const& path, std::size_t size_limit) {
    FileDescriptor const file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    struct stat status {};
    if (!file.is_open() || ::fstat(file.get(), &status) != 0) {
        throw InputError{path.string(), system_message(errno), "a readable file"};
    }
    if (S_ISDIR(status.st_mode)) {
        throw InputError{path.string(), "is a folder", "a readable file"};
    }
    auto const refuse_size = [&] {
        throw InputError{path.string(), "is longer than " + std::to_string(size_limit) + " bytes",
                         "at most that"};
    };
    if (status.st_size > 0 && static_cast<std::size_t>(status.st_size) > size_limit) refuse_size();

    std::string text;
    text.reserve(static_cast<std::size_t>(status.st_size));
    std::array<char, 1 << 16> chunk;
    for (;;) {
        auto const got = ::read(file.get(), chunk.data(), chunk.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) throw InputError{path.string(), system_message(errno), "a readable file"};
        if (got == 0) return text;
        text.append(chunk.data(), static_cast<std::size_t>(got));
        if (text.size() > size_limit) refuse_size();
    }
}

nlohmann::json parse_json(std::string_view text, std::string_view where) {
    if (text.starts_with("PK\x03\x04")) {
        throw InputError{where, "is a ZIP archive, as models of torch.export are", "a JSON file"};
    }
    StrictBuilder builder{where};
    nlohmann::json::sax_parse(text, &builder);
    return std::move(builder.root);
}

nlohmann::json read_json(fs::path const& path) {
    if (path.extension() == ".jsonl" && fs::exists(path)) {
        throw InputError{path.string(), "is no one JSON document, but samples, one record a line",
                         "what derate measure or derate aggregate makes of them"};
    }
    if (path.extension() == ".pt2" && fs::exists(path)) {
        throw InputError{path.string(), "is a model (torch.export), not JSON",
                         "derate inspect --model reads it"};
    }
    auto text = read_text(path);
    if (path.extension() == ".gz") text = gzip_expand(text, path.string());
    return parse_json(text, path.string());
}

std::string pretty_json(nlohmann::json const& json) {
    std::string text;
    append_pretty(text, json, 0);
    text += '\n';
    return text;
}

void write_atomically(fs::path const& path, std::string_view bytes) {
    std::error_code error;
    auto const status = fs::status(path, error);
    if (fs::is_directory(status)) {
        throw InputError{path.string(), "is a folder", "the path of a file"};
    }
    if (fs::exists(status) && !fs::is_regular_file(status)) {
        FileDescriptor const device{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
        if (!device.is_open() || !write_all(device.get(), bytes)) refuse_write(path, errno);
        return;
    }
    // A link keeps pointing where it points: its target is what gets replaced.
    fs::path const target = fs::is_symlink(path, error) ? fs::weakly_canonical(path) : path;
    if (target.has_parent_path()) {
        fs::create_directories(target.parent_path(), error);
        if (error) refuse_write(path, error.value());
    }
    auto const temporary = temporary_beside(target);
    FileDescriptor file{::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)};
    if (!file.is_open()) refuse_write(path, errno);
    if (!write_all(file.get(), bytes) || ::fsync(file.get()) != 0 || !file.close() ||
        ::rename(temporary.c_str(), target.c_str()) != 0) {
        int const cause = errno;
        ::unlink(temporary.c_str());
        refuse_write(path, cause);
    }
    // Without this the rename itself may be lost with the power.
    auto const folder = target.has_parent_path() ? target.parent_path() : fs::path{"."};
    FileDescriptor const directory{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (directory.is_open()) ::fsync(directory.get());
}

void require_writable(fs::path const& path) {
    std::error_code error;
    auto const status = fs::status(path, error);
    if (fs::is_directory(status)) {
        throw InputError{path.string(), "is a folder", "the path of a file"};
    }
    if (fs::exists(status) && !fs::is_regular_file(status)) return;  // a device or pipe
    fs::path made;  // the first folder that was missing
    if (path.has_parent_path()) {
        made = path.parent_path();
        while (made.has_parent_path() && made.parent_path() != made &&
               !fs::exists(made.parent_path(), error)) {
            made = made.parent_path();
        }
        if (fs::exists(made, error)) made.clear();
        fs::create_directories(path.parent_path(), error);
        if (error) refuse_write(path, error.value());
    }
    auto const temporary = temporary_beside(path);
    FileDescriptor const file{
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)};
    if (!file.is_open()) refuse_write(path, errno);
    ::unlink(temporary.c_str());
    if (!made.empty()) fs::remove_all(made, error);
}

std::filesystem::path temporary_folder() {
    std::error_code error;
    auto folder = std::filesystem::temp_directory_path(error);
    if (!error) return folder;
    auto const* const named = std::getenv("TMPDIR");
    throw InputError{std::string{"TMPDIR="} + (named == nullptr ? "" : named), error.message(),
                     "a folder that is there"};
}

std::string gzip_compress(std::string_view bytes) {
    constexpr int gzip_window = 15 + 16;
    z_stream stream{};
    if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, gzip_window, 9, Z_DEFAULT_STRATEGY) !=
        Z_OK) {
        throw std::runtime_error{"zlib: deflateInit2 failed"};
    }
    std::string compressed;
    std::array<char, 1 << 16> chunk;
    int state = Z_OK;
    do {
        if (stream.avail_in == 0) {
            auto const part = bytes.substr(0, std::size_t{1} << 30);
            bytes.remove_prefix(part.size());
            stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(part.data()));
            stream.avail_in = static_cast<uInt>(part.size());
        }
        stream.next_out = reinterpret_cast<Bytef*>(chunk.data());
        stream.avail_out = chunk.size();
        state = deflate(&stream, bytes.empty() ? Z_FINISH : Z_NO_FLUSH);
        compressed.append(chunk.data(), chunk.size() - stream.avail_out);
    } while (state == Z_OK);
    deflateEnd(&stream);
    if (state != Z_STREAM_END) throw std::runtime_error{"zlib: deflate failed"};
    return compressed;
}

std::string gzip_expand(std::string_view compressed, std::string_view where,
                        std::size_t size_limit) {
    constexpr int gzip_window = 15 + 16;
    z_stream stream{};
    if (inflateInit2(&stream, gzip_window) != Z_OK) {
        throw std::runtime_error{"zlib: inflateInit2 failed"};
    }
    std::string text;
    std::array<char, 1 << 16> chunk;
    std::string problem;
    bool finished = false;
    while (!finished && problem.empty()) {
        if (stream.avail_in == 0) {
            auto const part = compressed.substr(0, std::size_t{1} << 30);
            compressed.remove_prefix(part.size());
            stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(part.data()));
            stream.avail_in = static_cast<uInt>(part.size());
        }
        stream.next_out = reinterpret_cast<Bytef*>(chunk.data());
        stream.avail_out = chunk.size();
        int const state = inflate(&stream, Z_NO_FLUSH);
        text.append(chunk.data(), chunk.size() - stream.avail_out);
        if (text.size() > size_limit) {
            problem = "expands beyond " + std::to_string(size_limit) + " bytes";
        } else if (state == Z_STREAM_END) {
            finished = true;
            if (stream.avail_in > 0 || !compressed.empty()) problem = "has bytes after its end";
        } else if (state == Z_BUF_ERROR) {
            problem = "ends early";
        } else if (state != Z_OK) {
            problem = stream.msg != nullptr ? stream.msg : "is not gzip";
        }
    }
    inflateEnd(&stream);
    if (!problem.empty()) throw InputError{where, problem, "one whole gzip member"};
    return text;
}

std::string sha256_hex(std::string_view bytes) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int length = 0;
    if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &length, EVP_sha256(), nullptr) !=
        1) {
        throw std::runtime_error{"OpenSSL: SHA-256 failed"};
    }
    return hexadecimal({digest.data(), length});
}

std::string sha256_of_file(fs::path const& path) {
    if (!fs::is_regular_file(path)) {
        throw InputError{path.string(), fs::exists(path) ? "not a regular file" : "no such file",
                         "a file that can be read"};
    }
    std::ifstream file{path, std::ios::binary};
    if (!file) throw InputError{path.string(), "cannot be read", "a file that can be read"};
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> const context{EVP_MD_CTX_new(),
                                                                          &EVP_MD_CTX_free};
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int length = 0;
    std::array<char, 1 << 16> block;
    bool good = context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;
    while (good && file) {
        file.read(block.data(), block.size());
        good = EVP_DigestUpdate(context.get(), block.data(),
                                static_cast<std::size_t>(file.gcount())) == 1;
    }
    if (file.bad()) throw InputError{path.string(), "cannot be read", "a file that can be read"};
    if (!good || EVP_DigestFinal_ex(context.get(), digest.data(), &length) != 1) {
        throw std::runtime_error{"OpenSSL: SHA-256 failed"};
    }
    return hexadecimal({digest.data(), length});
}

}  // namespace derate
