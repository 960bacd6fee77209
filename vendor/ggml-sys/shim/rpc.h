/* ggml's RPC backend over connections that the user of this library makes, and
 * a server for one client at a time. The Rust side of this interface is
 * src/rpc.rs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ggml-backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How bytes travel. ggml's RPC backend knows no errors: a call that fails ends
 * the process. So the calls made for a client must not fail. When its worker is
 * gone, `connect` still returns a peer, `send` and `receive` still return true,
 * and what is received is `ggml_sys_rpc_empty_reply`; that it happened has to be
 * told apart from here. For a server false is fine and ends the connection. */
struct ggml_sys_rpc_transport {
    void *(*connect)(const char *key);
    bool (*send)(void *peer, const void *data, size_t size);
    bool (*flush)(void *peer);
    bool (*receive)(void *peer, void *data, size_t size);
    void (*close)(void *peer);
};

/* Must come before any other call. The table has to stay where it is. */
void ggml_sys_rpc_use_transport(const struct ggml_sys_rpc_transport *transport);

/* Connects to the worker that the transport knows as `key` (letters and digits)
 * and keeps the connection open until it is closed here and no buffer or backend
 * of its devices is left. NULL if there is none, with the reason in `error`. */
struct ggml_sys_rpc_worker;
struct ggml_sys_rpc_worker *ggml_sys_rpc_open(const char *key, char *error, size_t error_size);
void ggml_sys_rpc_close(struct ggml_sys_rpc_worker *worker);

/* The devices of a worker. They live for ever. */
size_t ggml_sys_rpc_device_count(const struct ggml_sys_rpc_worker *worker);
ggml_backend_dev_t ggml_sys_rpc_device(const struct ggml_sys_rpc_worker *worker, size_t index);

/* The protocol, as far as a transport must know it. A request is a byte of
 * command, the size of a body in 8 bytes and the body; a reply is the size of a
 * body in 8 bytes and the body. */
enum ggml_sys_rpc_command {
    GGML_SYS_RPC_SET_TENSOR = 6,
    GGML_SYS_RPC_SET_TENSOR_HASH = 7,
    GGML_SYS_RPC_HELLO = 14,
};

/* Major version in the upper 8 bits, minor in the lower: a peer understands a
 * server of the same major and of no later minor version. The reply to HELLO
 * begins with the two. */
uint16_t ggml_sys_rpc_version(void);

/* The size of a tensor's description, with which requests about it begin. */
size_t ggml_sys_rpc_tensor_size(void);

/* The size of the body of a reply to `command`, whose request ended in the 8
 * bytes `last`; SIZE_MAX if that command has no reply. */
size_t ggml_sys_rpc_reply_size(uint8_t command, uint64_t last);

/* The body of a reply of a worker that has nothing and remembers nothing. */
void ggml_sys_rpc_empty_reply(uint8_t command, void *body, size_t size);

/* Memory that several clients share: what is allocated for them together stays
 * within `limit` bytes. */
struct ggml_sys_rpc_memory;
struct ggml_sys_rpc_memory *ggml_sys_rpc_memory_new(uint64_t limit);
void ggml_sys_rpc_memory_free(struct ggml_sys_rpc_memory *memory);
uint64_t ggml_sys_rpc_memory_used(const struct ggml_sys_rpc_memory *memory);

/* Serves a client until it leaves, computing on `backend`. The peer stays open.
 * False if the client was sent away, with the reason in `error`. */
bool ggml_sys_rpc_serve(void *peer, ggml_backend_t backend, struct ggml_sys_rpc_memory *memory,
                        char *error, size_t error_size);

#ifdef __cplusplus
}
#endif
