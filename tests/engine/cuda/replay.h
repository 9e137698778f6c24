// Runs a recording of `launch_recorder.py`: memory as it was, then launches and clears, then writes the memory out.
// A place is (int32 buffer, int64 offset); an argument is a place, or -1 and eight bytes.
#pragma once
#include <fstream>
#include <stdexcept>
#include <string>

using Launcher = void (*)(const unsigned* grid, const unsigned* block, void** arguments);

struct Recording {
    std::ifstream file;
    std::vector<std::pair<unsigned char*, std::int64_t>> buffers;

    template <typename T>
    T read() {
        T value;
        file.read(reinterpret_cast<char*>(&value), sizeof(value));
        if (!file) throw std::runtime_error("the recording is cut short");
        return value;
    }

    // The eight bytes of an argument: an address, or what was given.
    std::uint64_t place() {
        const auto buffer = read<std::int32_t>();
        const auto value = read<std::uint64_t>();
        return buffer < 0 ? value : reinterpret_cast<std::uint64_t>(buffers.at(buffer).first) + value;
    }
};

inline void replay_launch(Recording& recording, const Launcher* launchers) {
    const auto entry = recording.read<std::int32_t>();
    unsigned grid[3], block[3];
    for (unsigned& side : grid) side = recording.read<std::uint32_t>();
    for (unsigned& side : block) side = recording.read<std::uint32_t>();
    std::vector<std::uint64_t> values(recording.read<std::int32_t>());
    std::vector<void*> arguments;
    for (std::uint64_t& value : values) {
        value = recording.place();
        arguments.push_back(&value);
    }
    launchers[entry](grid, block, arguments.data());
}

inline int replay(const Launcher* launchers, const char* from, const char* to) {
    Recording recording{std::ifstream(from, std::ios::binary), {}};
    const auto count = recording.read<std::int32_t>();
    for (int index = 0; index < count; ++index) {
        const auto nbytes = recording.read<std::int64_t>();
        void* memory = nullptr;
        if (posix_memalign(&memory, 256, nbytes)) return 1;
        recording.file.read(static_cast<char*>(memory), nbytes);
        recording.buffers.emplace_back(static_cast<unsigned char*>(memory), nbytes);
    }
    for (auto left = recording.read<std::int32_t>(); left > 0; --left) {
        const std::uint64_t place = recording.place(), content = recording.place();
        std::memcpy(reinterpret_cast<void*>(place), &content, sizeof(content));
    }
    for (auto left = recording.read<std::int32_t>(); left > 0; --left) {
        if (recording.read<std::int32_t>() == 0) {
            replay_launch(recording, launchers);
            continue;
        }
        void* target = reinterpret_cast<void*>(recording.place());
        std::memset(target, 0, recording.read<std::int64_t>());
    }
    std::ofstream result(to, std::ios::binary);
    for (const auto& [memory, nbytes] : recording.buffers) {
        result.write(reinterpret_cast<const char*>(memory), nbytes);
        std::free(memory);
    }
    return result.good() ? 0 : 1;
}
