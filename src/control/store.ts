/**
 * The control plane's memory: resources under one global revision, with optimistic concurrency, watches and history, on one SQLite file.
 *
 *   write ──▶ one transaction: objects, events, revision ──commit, fsync──▶ memory swapped ──▶ listeners told, in order
 *
 * Semantics are those of the Kubernetes API (kubernetes.io/docs/reference/using-api/api-concepts): every change takes the next revision, which becomes the
 * object's `resourceVersion`; `generation` counts changes of what was asked for, not of `metadata` or `status`; a change that changes nothing takes no revision;
 * history is kept for the last `keepEvents` revisions, and what asks for older is told `gone`. Reads never touch the disk.
 */

export * from './store/contract.ts'
export { openStore } from './store/memory.ts'
