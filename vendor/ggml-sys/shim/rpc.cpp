/* ggml's RPC backend, compiled as a part of this file, which gives it another
 * transport (rpc.h) and replaces what a worker for strangers cannot leave as it
 * is: allocations stay within a limit, and a failed assertion about a request
 * ends that client's connection instead of the process. */
#include "rpc.h"

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "ggml-backend-impl.h"
#include "ggml-cpp.h"
#include "ggml-impl.h"

struct ggml_sys_rpc_memory {
    const uint64_t limit;
    std::atomic<uint64_t> used{0};
};

namespace {

/* What the client that this thread serves allocates from, and its connection. */
thread_local ggml_sys_rpc_memory *serving = nullptr;
thread_local void *client = nullptr;

[[noreturn]] void fail(const char *format, ...) {
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    throw std::runtime_error(text);
}

bool reserve(ggml_sys_rpc_memory &memory, uint64_t size) {
    uint64_t used = memory.used.load();
    do {
        if (size > memory.limit - used) {
            return false;
        }
    } while (!memory.used.compare_exchange_weak(used, used + size));
    return true;
}

ggml_backend_buffer_t allocate_within(ggml_backend_buffer_type_t type, size_t size) {
    if (!reserve(*serving, size)) {
        return nullptr;
    }
    ggml_backend_buffer_t buffer = ggml_backend_buft_alloc_buffer(type, size);
    if (!buffer) {
        serving->used -= size;
        return nullptr;
    }
    /* Some backends round up. */
    serving->used += ggml_backend_buffer_get_size(buffer) - size;
    return buffer;
}

void free_within(ggml_backend_buffer_t buffer) {
    serving->used -= ggml_backend_buffer_get_size(buffer);
    ggml_backend_buffer_free(buffer);
}

void memory_within(ggml_backend_dev_t device, size_t *free, size_t *total) {
    ggml_backend_dev_memory(device, free, total);
    const uint64_t left = serving->limit - serving->used.load();
    *free = std::min<uint64_t>(*free, left);
    *total = std::min<uint64_t>(*total, serving->limit);
}

} // namespace

#undef GGML_ABORT
#define GGML_ABORT(...) fail(__VA_ARGS__)
#define ggml_backend_buft_alloc_buffer allocate_within
#define ggml_backend_buffer_free free_within
#define ggml_backend_dev_memory memory_within

#include "ggml-rpc/ggml-rpc.cpp"

#undef ggml_backend_buft_alloc_buffer
#undef ggml_backend_buffer_free
#undef ggml_backend_dev_memory

/* The transport. */

static const ggml_sys_rpc_transport *transport = nullptr;

struct socket_t::impl {
    void *peer;
    bool owned;
};

socket_t::socket_t(std::unique_ptr<impl> p) : pimpl(std::move(p)) {}

socket_t::~socket_t() {
    if (pimpl->owned) {
        transport->close(pimpl->peer);
    }
}

bool socket_t::send_data(const void *data, size_t size) {
    return transport->send(pimpl->peer, data, size);
}

bool socket_t::recv_data(void *data, size_t size) {
    return transport->receive(pimpl->peer, data, size);
}

bool socket_t::flush() {
    return transport->flush(pimpl->peer);
}

/* Nothing but TCP: no capabilities to agree upon. */
void socket_t::get_caps(uint8_t *local_caps) {
    memset(local_caps, 0, RPC_CONN_CAPS_SIZE);
}

void socket_t::update_caps(const uint8_t *) {}

socket_ptr socket_t::connect(const char *host, int) {
    return socket_ptr(new socket_t(std::make_unique<impl>(impl{transport->connect(host), true})));
}

/* Connections are accepted outside: a server has one, its client. */
socket_ptr socket_t::create_server(const char *, int) {
    return socket_ptr(new socket_t(std::make_unique<impl>(impl{client, false})));
}

socket_ptr socket_t::accept() {
    return nullptr;
}

bool rpc_transport_init() {
    return true;
}

void rpc_transport_shutdown() {}

void ggml_sys_rpc_use_transport(const struct ggml_sys_rpc_transport *table) {
    transport = table;
}

/* The client. */

struct ggml_sys_rpc_worker {
    std::shared_ptr<rpc_dispatcher> connection;
    ggml_backend_reg_t devices;
};

struct ggml_sys_rpc_worker *ggml_sys_rpc_open(const char *key, char *error, size_t error_size) {
    try {
        /* ggml takes "host:port"; the transport finds the worker by its key. */
        const std::string endpoint = std::string(key) + ":0";
        auto connection = get_dispatcher(endpoint);
        ggml_backend_reg_t devices = ggml_backend_rpc_add_server(endpoint.c_str());
        if (devices) {
            return new ggml_sys_rpc_worker{connection, devices};
        }
        snprintf(error, error_size, "it has no device");
    } catch (const std::exception &e) {
        snprintf(error, error_size, "%s", e.what());
    }
    return nullptr;
}

void ggml_sys_rpc_close(struct ggml_sys_rpc_worker *worker) {
    delete worker;
}

size_t ggml_sys_rpc_device_count(const struct ggml_sys_rpc_worker *worker) {
    return ggml_backend_reg_dev_count(worker->devices);
}

ggml_backend_dev_t ggml_sys_rpc_device(const struct ggml_sys_rpc_worker *worker, size_t index) {
    return ggml_backend_reg_dev_get(worker->devices, index);
}

/* The protocol. */

static_assert(GGML_SYS_RPC_SET_TENSOR == (int) RPC_CMD_SET_TENSOR, "ggml renumbered a command");
static_assert(GGML_SYS_RPC_SET_TENSOR_HASH == (int) RPC_CMD_SET_TENSOR_HASH, "ggml renumbered a command");
static_assert(GGML_SYS_RPC_HELLO == (int) RPC_CMD_HELLO, "ggml renumbered a command");
/* Bodies below are filled through their last field, or zero. */
static_assert(RPC_PROTO_MAJOR_VERSION == 7, "look through the replies below");

uint16_t ggml_sys_rpc_version(void) {
    return RPC_PROTO_MAJOR_VERSION << 8 | RPC_PROTO_MINOR_VERSION;
}

size_t ggml_sys_rpc_tensor_size(void) {
    return sizeof(rpc_tensor);
}

size_t ggml_sys_rpc_reply_size(uint8_t command, uint64_t last) {
    switch (command) {
        case RPC_CMD_HELLO:
            return sizeof(rpc_msg_hello_rsp);
        case RPC_CMD_DEVICE_COUNT:
            return sizeof(rpc_msg_device_count_rsp);
        case RPC_CMD_ALLOC_BUFFER:
            return sizeof(rpc_msg_alloc_buffer_rsp);
        case RPC_CMD_GET_ALIGNMENT:
            return sizeof(rpc_msg_get_alignment_rsp);
        case RPC_CMD_GET_MAX_SIZE:
            return sizeof(rpc_msg_get_max_size_rsp);
        case RPC_CMD_BUFFER_GET_BASE:
            return sizeof(rpc_msg_buffer_get_base_rsp);
        case RPC_CMD_SET_TENSOR_HASH:
            return sizeof(rpc_msg_set_tensor_hash_rsp);
        case RPC_CMD_COPY_TENSOR:
            return sizeof(rpc_msg_copy_tensor_rsp);
        case RPC_CMD_GET_DEVICE_MEMORY:
            return sizeof(rpc_msg_get_device_memory_rsp);
        case RPC_CMD_GET_ALLOC_SIZE:
            return sizeof(rpc_msg_get_alloc_size_rsp);
        case RPC_CMD_GET_TENSOR:
            /* rpc_msg_get_tensor_req ends in the number of bytes asked for. */
            return last;
        default:
            return SIZE_MAX;
    }
}

void ggml_sys_rpc_empty_reply(uint8_t command, void *body, size_t size) {
    memset(body, 0, size);
    switch (command) {
        case RPC_CMD_HELLO: {
            rpc_msg_hello_rsp reply = {};
            reply.major = RPC_PROTO_MAJOR_VERSION;
            reply.minor = RPC_PROTO_MINOR_VERSION;
            memcpy(body, &reply, std::min(size, sizeof(reply)));
            break;
        }
        /* These numbers must not be 0. None of them is used for anything but
         * arithmetic, since every later request goes nowhere too. */
        case RPC_CMD_GET_ALIGNMENT:
        case RPC_CMD_BUFFER_GET_BASE: {
            const uint64_t page = 4096;
            memcpy(body, &page, std::min(size, sizeof(page)));
            break;
        }
        case RPC_CMD_GET_MAX_SIZE:
            memset(body, 0xff, size);
            break;
        default:
            break;
    }
}

/* The server. */

struct ggml_sys_rpc_memory *ggml_sys_rpc_memory_new(uint64_t limit) {
    return new ggml_sys_rpc_memory{limit};
}

void ggml_sys_rpc_memory_free(struct ggml_sys_rpc_memory *memory) {
    delete memory;
}

uint64_t ggml_sys_rpc_memory_used(const struct ggml_sys_rpc_memory *memory) {
    return memory->used.load();
}

bool ggml_sys_rpc_serve(void *peer, ggml_backend_t backend, struct ggml_sys_rpc_memory *memory,
                        char *error, size_t error_size) {
    serving = memory;
    client = peer;
    bool served = true;
    try {
        rpc_serve_client({backend}, nullptr, socket_t::create_server("", 0));
    } catch (const std::exception &e) {
        snprintf(error, error_size, "%s", e.what());
        served = false;
    }
    serving = nullptr;
    return served;
}
