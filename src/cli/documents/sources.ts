/** Finds and reads the files that -f names: a file, the documents of a folder in order of name, standard input. */

import type { Problem } from '#base/note'
import { FileError, listFolder, readText } from '#io/files'
import type { Edge } from '../edge.ts'

/** name: as people wrote it, for places. */
export type Source = { readonly name: string; readonly text: string }
export type Sources = { readonly files: readonly Source[]; readonly problems: readonly Problem[] }

export async function filesAt(edge: Pick<Edge, 'stdin' | 'cwd'>, paths: readonly string[], recursive: boolean): Promise<Sources> {
  const files: Source[] = []
  const problems: Problem[] = []
  for (const path of paths) {
    try {
      if (path === '-') files.push({ name: '-', text: await textOf(edge.stdin) })
      else if (/^[a-z][a-z0-9+.-]+:\/\//i.test(path))
        problems.push({ says: `-f ${path}: is a URL: fetch it first, such as curl -fsSL ${path} | weft apply -f -` })
      else for (const name of await expand(edge.cwd, path, recursive)) files.push({ name, text: await readText(absolute(edge.cwd, name)) })
    } catch (thrown) {
      if (!(thrown instanceof FileError)) throw thrown
      problems.push({ says: thrown.message })
    }
  }
  return { files, problems }
}

/** A file is itself. Of a folder: YAML and JSON, in order of name; with recursive also of the folders in it. */
async function expand(cwd: string, path: string, recursive: boolean): Promise<readonly string[]> {
  const inside = await listFolder(absolute(cwd, path))
  if (inside === undefined) return [path]
  const base = path.replace(/\/+$/, '') || '/'
  const found: string[] = []
  for (const { name, isFolder } of inside) {
    const whole = base === '/' ? `/${name}` : `${base}/${name}`
    if (isFolder && recursive && !name.startsWith('.')) found.push(...(await expand(cwd, whole, true).catch(none)))
    else if (!isFolder && /\.(ya?ml|json)$/i.test(name)) found.push(whole)
  }
  if (found.length === 0)
    throw new FileError(
      path,
      'ENOENT',
      `${path}: holds no .yaml, .yml or .json file${recursive ? '' : '; -R looks into the folders in it too'}`,
    )
  return found
}

/** An empty folder below the named one is no mistake. */
function none(thrown: unknown): readonly string[] {
  if (thrown instanceof FileError && thrown.code === 'ENOENT') return []
  throw thrown
}

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  const parts: Uint8Array[] = []
  for await (const part of stream) parts.push(typeof part === 'string' ? new TextEncoder().encode(part) : (part as Uint8Array))
  return new Blob(parts as Uint8Array<ArrayBuffer>[]).text()
}

const absolute = (cwd: string, path: string): string => (/^([a-zA-Z]:)?[\\/]/.test(path) ? path : `${cwd}/${path}`)
