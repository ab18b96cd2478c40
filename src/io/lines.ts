/** Lines that are written without ever being waited for: to a file or to standard output, many at once; what a slow or failing sink cannot take is dropped and counted. */

import { constants, type Stats, stat, write } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'

export type LinesOptions = {
  /** Absolute; absent: standard output. */
  readonly path?: string
  /** Called with how many lines came to what end. */
  readonly count: (outcome: 'written' | 'dropped', lines: number) => void
  /** Undefined: it works again. */
  readonly tell: (wrong: string | undefined) => void
}

/** So much waits at most; beyond, lines are dropped. */
const mostBytes = 4 * 1024 * 1024
/** So much is written at once. On a pipe that others write to as well, no more than it takes whole (POSIX PIPE_BUF), so that no line is torn. */
const batchBytes = 64 * 1024
const pipeBytes = 4096
/** How often it is looked whether a file is still where it was. */
const lookMs = 1000
/** How long a sink that failed is left alone. */
const againMs = 1000
/** A pipe that is full takes more when its reader has read. */
const fullMs = 10

export class Lines {
  readonly #options: LinesOptions
  #waiting: string[] = []
  #bytes = 0
  #isScheduled = false
  #isWriting = false
  #isClosed = false
  #file: FileHandle | undefined
  #is: Pick<Stats, 'dev' | 'ino'> | undefined
  #lookedAt = Number.NEGATIVE_INFINITY
  #failedAt = Number.NEGATIVE_INFINITY
  #whenDone: (() => void)[] = []

  constructor(options: LinesOptions) {
    this.#options = options
  }

  /** line: without its end. */
  write(line: string): void {
    // Of other characters than ASCII there are more bytes; the bound is not so exact.
    this.#bytes += line.length + 1
    if (this.#bytes > mostBytes || this.#isClosed) {
      this.#bytes -= line.length + 1
      return this.#options.count('dropped', 1)
    }
    this.#waiting.push(line)
    if (this.#isWriting || this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      void this.#drain()
    })
  }

  /** Resolves when what waits is written or dropped, at the latest after so long. Then nothing is taken any more. */
  async close(forMs: number): Promise<void> {
    this.#isClosed = true
    if (this.#waiting.length > 0 || this.#isWriting)
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, forMs)
        this.#whenDone.push(() => {
          clearTimeout(timer)
          resolve()
        })
        if (!this.#isWriting) void this.#drain()
      })
    this.#options.count('dropped', this.#waiting.length)
    this.#waiting = []
    await this.#file?.close().catch(() => {})
    this.#file = undefined
  }

  async #drain(): Promise<void> {
    if (this.#isWriting) return
    this.#isWriting = true
    while (this.#waiting.length > 0) {
      const batch = this.#take()
      try {
        const fd = await this.#target()
        if (fd !== undefined) {
          await writeAll(fd, Buffer.from(`${batch.join('\n')}\n`, 'utf8'))
          this.#options.count('written', batch.length)
          continue
        }
      } catch (thrown) {
        await this.#failed(thrown)
      }
      this.#options.count('dropped', batch.length)
    }
    this.#isWriting = false
    for (const done of this.#whenDone.splice(0)) done()
  }

  #take(): readonly string[] {
    const most = this.#options.path === undefined ? pipeBytes : batchBytes
    let [bytes, lines] = [0, 0]
    for (const line of this.#waiting) {
      const more = Buffer.byteLength(line) + 1
      if (lines > 0 && bytes + more > most) break
      bytes += more
      lines++
    }
    const batch = this.#waiting.splice(0, lines)
    for (const line of batch) this.#bytes -= line.length + 1
    return batch
  }

  /** Undefined: it failed a moment ago. */
  async #target(): Promise<number | undefined> {
    const { path } = this.#options
    const now = performance.now()
    if (now - this.#failedAt < againMs) return undefined
    if (path === undefined) return 1
    if (this.#file !== undefined && now - this.#lookedAt > lookMs) {
      this.#lookedAt = now
      const there = await lookAt(path)
      if (there?.dev !== this.#is?.dev || there?.ino !== this.#is?.ino) await this.#leave()
    }
    if (this.#file === undefined) await this.#open(path)
    return this.#file!.fd
  }

  /** Only a regular file, and not by a link: who may write policies is not to reach what else this user may write to. */
  async #open(path: string): Promise<void> {
    const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_WRONLY, O_NOCTTY } = constants
    const file = await open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0o640)
    const found = await file.stat()
    if (!found.isFile()) {
      await file.close()
      throw new Error(`${path} is no regular file`)
    }
    this.#file = file
    this.#is = found
    this.#lookedAt = performance.now()
    if (this.#failedAt !== Number.NEGATIVE_INFINITY) this.#options.tell(undefined)
    this.#failedAt = Number.NEGATIVE_INFINITY
  }

  async #leave(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close().catch(() => {})
  }

  async #failed(thrown: unknown): Promise<void> {
    const { path = 'standard output', tell } = this.#options
    await this.#leave()
    this.#failedAt = performance.now()
    const { code, message } = thrown as NodeJS.ErrnoException
    tell(`${path}: ${reasons[code ?? ''] ?? message}`)
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'its folder does not exist; make it, or name another',
  EACCES: 'the user of the proxy may not write there',
  EPERM: 'the user of the proxy may not write there',
  EISDIR: 'it is a folder; name a file in it',
  ENOTDIR: 'a part of the path is not a folder',
  ELOOP: 'it is a symbolic link, which is not followed; name the file itself',
  ENXIO: 'it is no regular file',
  ENOSPC: 'the disk is full',
  EDQUOT: "the user's disk quota is used up",
  EROFS: 'the file system is read-only',
  EPIPE: 'nobody reads it any more',
  EBADF: 'it is closed',
}

const lookAt = (path: string): Promise<Stats | undefined> =>
  new Promise(resolve => stat(path, (error, found) => resolve(error === null ? found : undefined)))

/** In threads of their own, also for standard output: a reader that is slow holds up nobody. */
async function writeAll(fd: number, bytes: Buffer): Promise<void> {
  let at = 0
  while (at < bytes.length) {
    const written = await writeSome(fd, bytes.subarray(at))
    if (written === 0) await new Promise(resolve => setTimeout(resolve, fullMs))
    at += written
  }
}

const writeSome = (fd: number, bytes: Buffer): Promise<number> =>
  new Promise((resolve, reject) =>
    write(fd, bytes, (error, written) => {
      if (error === null) resolve(written)
      else if (error.code === 'EAGAIN') resolve(0)
      else reject(error)
    }),
  )
