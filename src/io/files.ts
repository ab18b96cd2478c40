/** Files and folders: read with clear errors, written whole or not at all, kept where the system wants them. */

import { constants } from 'node:fs'
import { chmod, mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'

/** A file or folder that cannot be used; the message names it, the reason and what to do. code: such as ENOENT. */
export class FileError extends Error {
  readonly path: string
  readonly code: string
  constructor(path: string, code: string, message: string) {
    super(message)
    this.name = 'FileError'
    this.path = path
    this.code = code
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'it does not exist; is the path right?',
  EACCES: 'this user may not; check the owner and mode of the file and its folders',
  EPERM: 'this user may not; check the owner and mode of the file and its folders',
  EISDIR: 'it is a folder; name a file in it',
  NOFOLDERS: 'no folder can be made there; choose another place',
  ENOTDIR: 'a part of the path is not a folder',
  ENOSPC: 'the disk is full; make room and try again',
  EDQUOT: "this user's disk quota is used up; make room and try again",
  EROFS: 'the file system is read-only',
  EMFILE: 'this process has too many open files; raise its limit (ulimit -n)',
  EIO: 'the disk reports an error',
}

function told(verb: string, path: string, thrown: unknown): FileError {
  const { code = '', message = String(thrown) } = thrown as NodeJS.ErrnoException
  return new FileError(path, code, `cannot ${verb} ${path}: ${reasons[code] ?? message}`)
}

/** UTF-8. Throws FileError. */
export async function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((thrown: unknown) => {
    throw told('read', path, thrown)
  })
}

/** Throws FileError. */
export async function readBytes(path: string): Promise<Uint8Array> {
  return readFile(path).catch((thrown: unknown) => {
    throw told('read', path, thrown)
  })
}

/** As readText; undefined when the file does not exist. */
export async function readTextIfAny(path: string): Promise<string | undefined> {
  try {
    return await readText(path)
  } catch (thrown) {
    if (thrown instanceof FileError && thrown.code === 'ENOENT') return undefined
    throw thrown
  }
}

/** What is in a folder, in order of name; undefined when the path is no folder. A link to a folder is no folder, so that nobody walks in a circle. Throws FileError. */
export async function listFolder(path: string): Promise<readonly { readonly name: string; readonly isFolder: boolean }[] | undefined> {
  try {
    if (!(await stat(path)).isDirectory()) return undefined
    const entries = await readdir(path, { withFileTypes: true })
    return entries.map(entry => ({ name: entry.name, isFolder: entry.isDirectory() })).sort((a, b) => (a.name < b.name ? -1 : 1))
  } catch (thrown) {
    throw told('read', path, thrown)
  }
}

/**
 * After this the file holds all of it, through a power cut too; a reader at any moment sees the old or the new whole. Throws FileError; the
 * old file is then untouched. mode: default 0644 less the umask; a given one is set exactly.
 */
export async function writeAtomic(path: string, content: string | Uint8Array, options: { readonly mode?: number } = {}): Promise<void> {
  const { mode } = options
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.${nextNumber++}.tmp`)
  try {
    const file = await open(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, mode ?? 0o644)
    try {
      if (mode !== undefined) await file.chmod(mode)
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
    await syncFolder(dirname(path))
  } catch (thrown) {
    await rm(temporary, { force: true })
    throw told('write', path, thrown)
  }
}
let nextNumber = 0

/** Gone after this, through a power cut too; it need not have been there. Throws FileError. */
export async function removeFile(path: string): Promise<void> {
  try {
    await rm(path, { force: true })
    await syncFolder(dirname(path))
  } catch (thrown) {
    throw told('remove', path, thrown)
  }
}

/** The rename itself is only durable when the folder is. Not every system lets folders be opened. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  await handle.sync().finally(() => handle.close())
}

/** The folder and what is missing above it. mode is set on the last one, also when it exists. Throws FileError. Returns the path. */
export async function makeFolder(path: string, mode?: number): Promise<string> {
  try {
    await makeMissing(path, mode)
    if (mode !== undefined) await chmod(path, mode)
    return path
  } catch (thrown) {
    throw told('make the folder', path, thrown)
  }
}

/** Not `recursive`: Node then asks again and again where a file system, such as /proc, says "no such file" of a folder that it will not have. */
async function makeMissing(path: string, mode: number | undefined): Promise<void> {
  const isThere = await stat(path).then(
    found => found.isDirectory(),
    () => false,
  )
  if (isThere) return
  if (dirname(path) !== path) await makeMissing(dirname(path), undefined)
  try {
    await mkdir(path, mode === undefined ? {} : { mode })
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException
    if (code === 'ENOENT') throw Object.assign(new Error(), { code: 'NOFOLDERS' })
    if (code !== 'EEXIST') throw thrown
    // Somebody else was quicker, or a file is there.
    if (!(await stat(path)).isDirectory()) throw Object.assign(new Error(), { code: 'ENOTDIR' })
  }
}

export type TemporaryFolder = { readonly path: string; [Symbol.asyncDispose](): Promise<void> }

/** A new folder that only this user may enter; it goes with everything in it when disposed. */
export async function temporaryFolder(prefix = 'weft-'): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(tmpdir(), prefix)).catch((thrown: unknown) => {
    throw told('make a folder in', tmpdir(), thrown)
  })
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

/** Permission bits of the file, such as 0o600; undefined when it does not exist, or where the system has none. */
export async function fileMode(path: string): Promise<number | undefined> {
  if (process.platform === 'win32') return undefined
  return stat(path).then(
    found => found.mode & 0o777,
    () => undefined,
  )
}

type Environment = Readonly<Record<string, string | undefined>>

/** XDG Base Directory Specification; env is read by the caller (bin). What may be deleted at any time. */
export const userCache = (env: Environment): string => join(userFolder(env['XDG_CACHE_HOME'], '.cache'), 'weft')
/** What the user edits. */
export const userConfig = (env: Environment): string => join(userFolder(env['XDG_CONFIG_HOME'], '.config'), 'weft')
/** What should outlive a restart: certificates, stores. */
export const userState = (env: Environment): string => join(userFolder(env['XDG_STATE_HOME'], '.local/state'), 'weft')

/** "All paths must be absolute"; a relative one is ignored, as the specification says. */
const userFolder = (given: string | undefined, standard: string): string => (given?.startsWith('/') ? given : join(homedir(), standard))
