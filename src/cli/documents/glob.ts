/** Paths with `*` in the names of files and folders, for lists of documents in files of our own. */

import { listFolder } from '#io/files'
import { Stopped } from '../exit.ts'

/** folder: to which relative patterns are. Resolves to at least one path; throws Stopped where nothing fits. */
export async function matchFiles(cwd: string, folder: string, pattern: string): Promise<readonly string[]> {
  const whole = pattern.startsWith('/') || folder === '.' ? pattern : `${folder}/${pattern}`
  if (!whole.includes('*')) return [whole]
  const steps = whole.split('/')
  let found: readonly string[] = [whole.startsWith('/') ? '' : '.']
  for (const [at, step] of steps.entries()) {
    if (at === 0 && step === '') continue
    const isLast = at === steps.length - 1
    found = (await Promise.all(found.map(base => inside(cwd, base, step, isLast)))).flat()
  }
  if (found.length === 0) throw new Stopped(`documents: ${pattern}: there is no such file beside the file that lists it`)
  return found.map(path => path.replace(/^\.\//, ''))
}

async function inside(cwd: string, base: string, step: string, isLast: boolean): Promise<readonly string[]> {
  if (!step.includes('*')) return [`${base}/${step}`]
  const pattern = new RegExp(`^${step.split('*').map(RegExp.escape).join('[^/]*')}$`)
  const listed = (await listFolder(base.startsWith('/') || base === '' ? base || '/' : `${cwd}/${base}`)) ?? []
  return listed
    .filter(({ name, isFolder }) => pattern.test(name) && isFolder !== isLast && !name.startsWith('.'))
    .map(({ name }) => `${base}/${name}`)
    .sort()
}
