/** Gives memory that the start or a burst of work left behind back to the machine, in a moment when nothing is done. */

import process from 'node:process'
import v8 from 'node:v8'
import vm from 'node:vm'

/** How often it is looked whether this process rests. */
const everyMs = 5000
/** Of a core, over that time: less is rest. The collection takes 20 to 60 ms, which nobody is to wait for. */
const restShare = 0.02
/** Of the heap since the last time: less is not worth the work. */
const worthBytes = 6 * 1024 * 1024

/**
 * V8 itself keeps the young generation as large as it once was (up to 32 MB) and returns free pages only when it is pressed: a proxy that has
 * just started holds 15 to 30 MB of nothing. Returns what ends it; does not keep the process alive.
 */
export function giveBackWhenResting(): () => void {
  const collect = collector()
  let heap = 0
  let used = cpuMs()
  const timer = setInterval(() => {
    const before = used
    used = cpuMs()
    if (used - before > everyMs * restShare || v8.getHeapStatistics().total_heap_size < heap + worthBytes) return
    collect()
    trim()
    heap = v8.getHeapStatistics().total_heap_size
    used = cpuMs()
  }, everyMs).unref()
  return () => clearInterval(timer)
}

/** What OpenSSL and nghttp2 gave back stays with the C library's allocator until it is told (malloc_trim(3), glibc only): with many workloads, tens of megabytes. */
function trim(): void {
  try {
    const ffi = process.getBuiltinModule('node:ffi')
    ffi?.dlopen(null, { malloc_trim: { arguments: ['u64'], return: 'i32' } }).functions.malloc_trim(0n)
  } catch {
    // another C library: it has its own ways
  }
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** The only collection that makes the young generation small again. Node offers it to whoever started it with --expose-gc; the flag may also be set now. */
function collector(): () => void {
  v8.setFlagsFromString('--expose-gc')
  const gc = vm.runInNewContext('gc') as (options: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void
  v8.setFlagsFromString('--no-expose-gc')
  return () => gc({ type: 'major', execution: 'sync', flavor: 'last-resort' })
}
