/// One libFuzzer program for every reader of files from outside: DERATE_FUZZ_READER names which.
///
/// A reader may answer any bytes with a value or with InputError. Everything else is a fault:
/// another exception, a sanitizer's report, memory or time beyond the limits of the run. What was
/// read must survive being written and read again.
#include <sys/mman.h>
#include <unistd.h>
#include <zip.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "campaign/samples_file.hpp"
#include "core/input_error.hpp"
#include "ctest/fuzz/json_mutation.hpp"
#include "storage/calibration_json.hpp"
#include "storage/environment_json.hpp"
#include "storage/evidence_json.hpp"
#include "storage/file.hpp"
#include "storage/hardware_json.hpp"
#include "storage/measurement_json.hpp"
#include "storage/plan_json.hpp"
#include "storage/sample_record_json.hpp"
#include "storage/schema_check.hpp"
#include "storage/timing_table.hpp"
#include "workloads/descriptor.hpp"
#include "workloads/exported_program.hpp"
#include "workloads/partition.hpp"
#include "workloads/pickle.hpp"
#include "workloads/symbolic_program.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace derate {
namespace {

constexpr std::string_view where = "fuzzed";

void require(bool holds, char const* rule) {
    if (holds) return;
    std::fprintf(stderr, "broken rule: %s\n", rule);
    std::abort();
}

/// A file in memory, for readers that take a path.
class MemoryFile {
  public:
    explicit MemoryFile(std::string_view bytes) : descriptor_{memfd_create("fuzzed", MFD_CLOEXEC)} {
        require(descriptor_ >= 0, "a file in memory can be made");
        while (!bytes.empty()) {
            auto const written = write(descriptor_, bytes.data(), bytes.size());
            require(written > 0, "a file in memory can be written");
            bytes.remove_prefix(static_cast<std::size_t>(written));
        }
    }
    ~MemoryFile() { close(descriptor_); }
    MemoryFile(MemoryFile const&) = delete;
    MemoryFile& operator=(MemoryFile const&) = delete;

    [[nodiscard]] std::filesystem::path path() const {
        return "/proc/self/fd/" + std::to_string(descriptor_);
    }

  private:
    int descriptor_;
};

/// All that a command makes of a program it has read.
void use(ExportedProgram const& program) {
    (void)batch_of(program);
    (void)precision_of(program);
    (void)unknown_operators(program);
    for (auto const& subgraph : partition(program).subgraphs) {
        auto const extracted = extract_subgraph(program, subgraph);
        auto const descriptor = format_descriptor(extracted);
        require(format_descriptor(parse_descriptor(descriptor)) == descriptor,
                "a descriptor reads back as what it says");
    }
}

template <typename Read>
void read_json_value(std::string_view text, Read read) {
    auto const first = to_json(read(parse_json(text, where), where));
    require(to_json(read(first, where)) == first, "what is written reads back as the same");
}

/// At sizes of which nothing says that they fit: most graphs with symbols refuse them.
void use(SymbolicProgram const& program) {
    (void)free_dimensions(program);
    use(bind(program, {}, {.batch = 2, .sequence = 3}).program);
}

void read_export_json(std::string_view text) { use(parse_symbolic_program(text, where)); }

void read_export_archive(std::string_view bytes) {
    MemoryFile const file{bytes};
    use(read_symbolic_program(file.path()));
}

/// A zip that holds what the input lists, each as: length of the name (1 byte), name, length of the
/// content (4 bytes, little endian), content. Mutations so reach files inside a zip, whose
/// checksums would else refuse them.
std::string zip_of_members(std::string_view input) {
    zip_error_t error;
    zip_source_t* const buffer = zip_source_buffer_create(nullptr, 0, 0, &error);
    zip_source_keep(buffer);
    zip_t* const archive = zip_open_from_source(buffer, ZIP_TRUNCATE, &error);
    require(archive != nullptr, "a zip in memory can be made");
    while (input.size() > 5) {
        std::string const name{input.substr(1, static_cast<unsigned char>(input.front()))};
        input.remove_prefix(std::min(input.size(), 1 + name.size()));
        std::uint32_t size = 0;
        if (input.size() < sizeof size) break;
        std::memcpy(&size, input.data(), sizeof size);
        input.remove_prefix(sizeof size);
        auto const content = input.substr(0, size);
        input.remove_prefix(content.size());
        auto* const source = zip_source_buffer(archive, content.data(), content.size(), 0);
        auto const index = zip_file_add(archive, name.c_str(), source, ZIP_FL_OVERWRITE);
        if (index < 0) {
            zip_source_free(source);
        } else {
            zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), ZIP_CM_STORE, 0);
        }
    }
    std::string bytes;
    if (zip_close(archive) != 0) {
        zip_discard(archive);
    } else if (zip_source_open(buffer) == 0) {
        zip_stat_t state;
        zip_source_stat(buffer, &state);
        bytes.resize(state.size);
        zip_source_read(buffer, bytes.data(), bytes.size());
        zip_source_close(buffer);
    }
    zip_source_free(buffer);
    return bytes;
}

void read_export_members(std::string_view input) { read_export_archive(zip_of_members(input)); }

void read_pickle(std::string_view bytes) { (void)read_pickled_tensors(bytes, where); }

void read_descriptor(std::string_view text) {
    auto const program = parse_descriptor(text);
    require(parse_descriptor(format_descriptor(program)) == program,
            "a descriptor reads back as what it says");
}

void read_measurement(std::string_view text) { read_json_value(text, measurement_from_json); }

void read_evidence(std::string_view text) { read_json_value(text, evidence_from_json); }

void read_calibration(std::string_view text) {
    (void)check_schema(parse_json(text, where), SchemaName::efficiency_calibration);
    read_json_value(text, calibration_from_json);
}

void read_hardware(std::string_view text) { read_json_value(text, hardware_from_json); }

void read_plan(std::string_view text) {
    auto const first = to_json_text(plan_from_json(text, where));
    require(to_json_text(plan_from_json(first, where)) == first,
            "what is written reads back as the same");
}

void read_samples_lines(std::string_view text) {
    MemoryFile const file{text};
    read_samples(file.path(), [](SampleRecord const& record) {
        auto const first = to_json_line(record);
        require(to_json_line(sample_record_from_json(first, where)) == first,
                "what is written reads back as the same");
    });
}

void read_timings(std::string_view text) {
    MemoryFile const file{text};
    (void)read_timing_table(file.path());
}

void read_gzip(std::string_view bytes) { (void)gzip_expand(bytes, where, std::size_t{1} << 24); }

enum class Content { bytes, json, json_lines };

struct Reader {
    std::string_view name;
    void (*read)(std::string_view);
    Content content;
};

constexpr Reader readers[] = {
    {"calibration", read_calibration, Content::json},
    {"descriptor", read_descriptor, Content::bytes},
    {"evidence", read_evidence, Content::json},
    {"export_archive", read_export_archive, Content::bytes},
    {"export_json", read_export_json, Content::json},
    {"export_members", read_export_members, Content::bytes},
    {"google_benchmark", read_timings, Content::json},
    {"gzip", read_gzip, Content::bytes},
    {"hardware", read_hardware, Content::json},
    {"measurement", read_measurement, Content::json},
    {"pickle", read_pickle, Content::bytes},
    {"plan", read_plan, Content::json},
    {"samples", read_samples_lines, Content::json_lines},
};

Reader const& chosen_reader() {
    static Reader const& reader = []() -> Reader const& {
        auto const* const name = std::getenv("DERATE_FUZZ_READER");
        for (auto const& candidate : readers) {
            if (name != nullptr && candidate.name == name) return candidate;
        }
        std::fprintf(stderr, "DERATE_FUZZ_READER must name one of:");
        for (auto const& candidate : readers) std::fprintf(stderr, " %s", candidate.name.data());
        std::fprintf(stderr, "\n");
        std::exit(2);
    }();
    return reader;
}

/// The JSON that a mutation changes: all of the text, or one line of it.
std::string_view mutated_part(std::string_view text, Content content, std::uint32_t seed) {
    if (content == Content::json) return text;
    auto const lines = 1 + std::ranges::count(text, '\n');
    std::string_view line = text;
    for (auto skipped = seed % static_cast<std::uint32_t>(lines); skipped > 0; --skipped) {
        line.remove_prefix(line.find('\n') + 1);
    }
    return line.substr(0, line.find('\n'));
}

}  // namespace
}  // namespace derate

extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {
    for (int i = 1; i < *count; ++i) {
        if (std::string_view{(*arguments)[i]} != "--readers") continue;
        for (auto const& reader : derate::readers) std::printf("%s\n", reader.name.data());
        std::exit(0);
    }
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    try {
        derate::chosen_reader().read({reinterpret_cast<char const*>(data), size});
    } catch (derate::InputError const&) {
        return 0;
    }
    return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned int seed) {
    auto const content = derate::chosen_reader().content;
    if (content == derate::Content::bytes || seed % 8 == 0) {
        return LLVMFuzzerMutate(data, size, max_size);
    }
    std::string const text(reinterpret_cast<char const*>(data), size);
    auto const part = derate::mutated_part(text, content, seed / 8);
    auto const changed = derate::mutate_json(part, seed);
    if (!changed) return LLVMFuzzerMutate(data, size, max_size);
    auto result = text;
    result.replace(static_cast<std::size_t>(part.data() - text.data()), part.size(), *changed);
    if (result.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
    std::memcpy(data, result.data(), result.size());
    return result.size();
}
