// A libcuda.so.1 on host memory, so that the real cuda.bindings and the real driver.py run without a GPU.
//
// Streams do their work at once, or note it down while they are captured. Kernels come from libraries made by
// shim_library.py, which FAKE_CUDA_KERNELS lists; the image of a module only has to be there. What a thread may
// do only with the context current is refused without it, and what a capture forbids invalidates it.
// FAKE_CUDA_DRIVER: version of the driver; FAKE_CUDA_DEVICES: how many there are; FAKE_CUDA_WAIT_MS: how long
// waits take; FAKE_CUDA_CAPABILITY: 10 * major + minor; FAKE_CUDA_INIT: what cuInit answers.
#include <dlfcn.h>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

enum Result {
    SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_DEVICE = 101,
    INVALID_CONTEXT = 201, INVALID_HANDLE = 400, NOT_FOUND = 500, CAPTURE_UNSUPPORTED = 900,
    CAPTURE_INVALIDATED = 901
};
using Work = std::function<void()>;
using Launcher = void (*)(const unsigned*, const unsigned*, void**);
struct Graph { std::vector<Work> work; };
struct Stream { std::unique_ptr<Graph> capture; bool invalid = false; };
struct Event { double time_ms = -1; };
struct Module {};
struct Function { Launcher launcher; std::string name; bool loaded = false; };

static const std::size_t MEMORY = std::size_t(1) << 30;
static bool initialised = false;
static int live = 0;  // memory, streams, events, graphs that were made and not destroyed
static char context_place;
static thread_local void* context = nullptr;
static thread_local Stream* capturing = nullptr;

static int setting(const char* name, int otherwise) {
    const char* text = std::getenv(name);
    return text ? std::atoi(text) : otherwise;
}
static void take_time() {
    std::this_thread::sleep_for(std::chrono::milliseconds(setting("FAKE_CUDA_WAIT_MS", 0)));
}
static int forbid() {
    if (capturing) capturing->invalid = true;
    return capturing ? CAPTURE_UNSUPPORTED : SUCCESS;
}
static int put(Stream* stream, Work work) {
    if (!context) return INVALID_CONTEXT;
    if (!stream->capture) work();
    else stream->capture->work.push_back(std::move(work));
    return SUCCESS;
}
#define NEEDS_CONTEXT if (!context) return INVALID_CONTEXT
#define NOT_IN_CAPTURE if (int refused = forbid()) return refused

extern "C" {
int fake_live() { return live; }

int cuInit(unsigned) {
    if (const int answer = setting("FAKE_CUDA_INIT", 0)) return answer;
    if (setting("FAKE_CUDA_DEVICES", 1) == 0) return NO_DEVICE;
    initialised = true;
    return SUCCESS;
}
int cuDriverGetVersion(int* version) { return *version = setting("FAKE_CUDA_DRIVER", 13020), SUCCESS; }
int cuDeviceGetCount(int* count) {
    if (!initialised) return NOT_INITIALIZED;
    return *count = setting("FAKE_CUDA_DEVICES", 1), SUCCESS;
}
int cuDeviceGet(int* device, int ordinal) {
    if (ordinal < 0 || ordinal >= setting("FAKE_CUDA_DEVICES", 1)) return INVALID_DEVICE;
    return *device = ordinal, SUCCESS;
}
int cuDeviceGetName(char* name, int length, int device) {
    return std::snprintf(name, length, "Fake GPU %d", device), SUCCESS;
}
int cuDeviceGetAttribute(int* value, int attribute, int) {
    const int capability = setting("FAKE_CUDA_CAPABILITY", 86);
    if (attribute != 75 && attribute != 76) return INVALID_VALUE;
    return *value = attribute == 75 ? capability / 10 : capability % 10, SUCCESS;
}
int cuDeviceTotalMem(std::size_t* bytes, int) { return *bytes = MEMORY, SUCCESS; }
int cuDevicePrimaryCtxRetain(void** made, int) { return *made = &context_place, SUCCESS; }
int cuCtxSetCurrent(void* given) { return context = given, SUCCESS; }

int cuMemAlloc(std::uintptr_t* address, std::size_t bytes) {
    NEEDS_CONTEXT;
    NOT_IN_CAPTURE;
    if (bytes == 0) return INVALID_VALUE;
    if (bytes > MEMORY) return OUT_OF_MEMORY;
    *address = reinterpret_cast<std::uintptr_t>(std::aligned_alloc(256, (bytes + 255) / 256 * 256));
    return ++live, SUCCESS;
}
int cuMemFree(std::uintptr_t address) {
    NEEDS_CONTEXT;
    NOT_IN_CAPTURE;
    std::free(reinterpret_cast<void*>(address));
    return --live, SUCCESS;
}
int cuMemHostAlloc(void** address, std::size_t bytes, unsigned flags) {
    NEEDS_CONTEXT;
    NOT_IN_CAPTURE;
    if (flags) return INVALID_VALUE;
    *address = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    return ++live, SUCCESS;
}
int cuMemFreeHost(void* address) { return std::free(address), --live, SUCCESS; }
int cuMemcpyHtoDAsync(std::uintptr_t target, const void* source, std::size_t bytes, Stream* stream) {
    return put(stream, [=] { std::memcpy(reinterpret_cast<void*>(target), source, bytes); });
}
int cuMemcpyDtoHAsync(void* target, std::uintptr_t source, std::size_t bytes, Stream* stream) {
    return put(stream, [=] { std::memcpy(target, reinterpret_cast<void*>(source), bytes); });
}
int cuMemsetD8Async(std::uintptr_t target, unsigned char value, std::size_t bytes, Stream* stream) {
    return put(stream, [=] { std::memset(reinterpret_cast<void*>(target), value, bytes); });
}

int cuStreamCreate(Stream** stream, unsigned flags) {
    NEEDS_CONTEXT;
    if (flags != 1) return INVALID_VALUE;  // non-blocking is what is asked for
    return *stream = new Stream, ++live, SUCCESS;
}
int cuStreamDestroy(Stream* stream) { return delete stream, --live, SUCCESS; }
int cuStreamSynchronize(Stream*) {
    NEEDS_CONTEXT;
    NOT_IN_CAPTURE;
    return take_time(), SUCCESS;
}
int cuStreamWaitEvent(Stream* stream, Event*, unsigned flags) {
    return flags ? int(INVALID_VALUE) : put(stream, [] {});
}
int cuStreamBeginCapture(Stream* stream, int mode) {
    if (mode != 1 || stream->capture) return INVALID_VALUE;  // local to the thread
    stream->capture = std::make_unique<Graph>();
    capturing = stream;
    return SUCCESS;
}
int cuStreamEndCapture(Stream* stream, Graph** graph) {
    capturing = nullptr;
    std::unique_ptr<Graph> made = std::move(stream->capture);
    *graph = nullptr;
    if (std::exchange(stream->invalid, false)) return CAPTURE_INVALIDATED;
    return *graph = made.release(), ++live, SUCCESS;
}
int cuGraphInstantiateWithFlags(Graph** made, Graph* graph, unsigned long long flags) {
    if (flags) return INVALID_VALUE;
    return *made = new Graph(*graph), ++live, SUCCESS;
}
int cuGraphInstantiate(Graph** made, Graph* graph, unsigned long long flags) {
    return cuGraphInstantiateWithFlags(made, graph, flags);
}
int cuGraphLaunch(Graph* graph, Stream* stream) {
    for (const Work& work : graph->work)
        if (int refused = put(stream, work)) return refused;
    return SUCCESS;
}
int cuGraphDestroy(Graph* graph) { return delete graph, --live, SUCCESS; }
int cuGraphExecDestroy(Graph* graph) { return delete graph, --live, SUCCESS; }

int cuEventCreate(Event** event, unsigned flags) {
    NEEDS_CONTEXT;
    if (flags != 1) return INVALID_VALUE;  // waits sleep
    return *event = new Event, ++live, SUCCESS;
}
int cuEventRecord(Event* event, Stream* stream) {
    return put(stream, [event] {
        const auto now = std::chrono::steady_clock::now().time_since_epoch();
        event->time_ms = std::chrono::duration<double, std::milli>(now).count();
    });
}
int cuEventSynchronize(Event*) {
    NOT_IN_CAPTURE;
    return take_time(), SUCCESS;
}
int cuEventElapsedTime(float* milliseconds, Event* start, Event* end) {
    if (start->time_ms < 0 || end->time_ms < 0) return INVALID_HANDLE;
    return *milliseconds = float(end->time_ms - start->time_ms), SUCCESS;
}
int cuEventDestroy(Event* event) { return delete event, --live, SUCCESS; }

int cuModuleLoadData(Module** made, const void* image) {
    NEEDS_CONTEXT;
    NOT_IN_CAPTURE;
    if (std::memcmp(image, "\x7f""ELF", 4)) return INVALID_VALUE;
    return *made = new Module, SUCCESS;
}
int cuModuleGetFunction(Function** made, Module*, const char* name) {
    std::istringstream libraries(std::getenv("FAKE_CUDA_KERNELS"));
    for (std::string path; std::getline(libraries, path, ':');) {
        void* library = dlopen(path.c_str(), RTLD_NOW);
        void* found = library ? dlsym(library, (std::string("shim_") + name).c_str()) : nullptr;
        if (found) return *made = new Function{reinterpret_cast<Launcher>(found), name}, SUCCESS;
    }
    return NOT_FOUND;
}
int cuFuncLoad(Function* function) { return function->loaded = true, SUCCESS; }
int cuLaunchKernel(Function* function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                   unsigned block_y, unsigned block_z, unsigned shared, Stream* stream, void** parameters,
                   void** extra) {
    if (shared || extra || !function->loaded) return INVALID_VALUE;
    const std::array<unsigned, 3> grid{grid_x, grid_y, grid_z}, block{block_x, block_y, block_z};
    if (!stream->capture) return put(stream, [&] { function->launcher(grid.data(), block.data(), parameters); });
    // As in CUDA the parameters are copied now. How many there are is what the digits that end the name say.
    const std::size_t digits = function->name.find_last_not_of("0123456789") + 1;
    std::vector<std::uint64_t> values(std::stoul(function->name.substr(digits)));
    for (std::size_t index = 0; index < values.size(); ++index) std::memcpy(&values[index], parameters[index], 8);
    return put(stream, [=]() mutable {
        std::vector<void*> places;
        for (std::uint64_t& value : values) places.push_back(&value);
        function->launcher(grid.data(), block.data(), places.data());
    });
}

// NVRTC asks for it: without a table it leaves its own cache alone.
int cuGetExportTable(const void** table, const void*) { return *table = nullptr, NOT_FOUND; }

int cuGetProcAddress_v2(const char* symbol, void** found, int, std::uint64_t, int* status) {
    Dl_info here;
    dladdr(reinterpret_cast<void*>(&fake_live), &here);
    *found = dlsym(dlopen(here.dli_fname, RTLD_NOW | RTLD_NOLOAD), symbol);
    if (status) *status = *found ? 0 : 1;
    return *found ? SUCCESS : NOT_FOUND;
}
int cuGetProcAddress(const char* symbol, void** found, int version, std::uint64_t flags, int* status) {
    return cuGetProcAddress_v2(symbol, found, version, flags, status);
}
}
