/** Is there a program to start? Answered before anything is set up, in the words and exit codes of a shell (POSIX.1-2017, 2.8.2). */

import { accessSync, constants, statSync } from 'node:fs'
import { resolve } from 'node:path'

/** exitCode: 127 when there is no such program, 126 when it cannot be executed, as `env` and shells have it. */
export class CommandFailed extends Error {
  readonly exitCode: 126 | 127
  constructor(says: string, exitCode: 126 | 127) {
    super(says)
    this.name = 'CommandFailed'
    this.exitCode = exitCode
  }
}

/** Throws CommandFailed. path: the PATH of the program's environment; cwd: absolute. */
export function requireProgram(command: readonly string[], path: string | undefined, cwd: string): void {
  const [name] = command
  if (name === undefined || name === '') throw new CommandFailed('no command was given: weft run -- COMMAND [ARGUMENT…]', 127)
  if (!isFolder(cwd)) throw new CommandFailed(`the folder ${cwd} does not exist or may not be entered`, 126)
  // execvp(3): without a PATH, the system's folders.
  const folders = name.includes('/') ? [''] : (path ?? '/bin:/usr/bin').split(':')
  const found = folders.map(folder => judge(name.includes('/') ? resolve(cwd, name) : resolve(cwd, folder, name)))
  if (found.includes('executable')) return
  // A folder of PATH that this user may not look into is passed over, as bash does: it cannot be known to hold the program.
  if (found.includes('not executable') || (name.includes('/') && found.includes('hidden')))
    throw new CommandFailed(`${name}: permission denied: it is not an executable file`, 126)
  throw new CommandFailed(name.includes('/') ? `${name}: no such file` : `${name}: command not found in PATH`, 127)
}

/** hidden: a folder on the way to it may not be entered. */
function judge(file: string): 'executable' | 'not executable' | 'hidden' | 'absent' {
  try {
    if (!statSync(file).isFile()) return 'not executable'
  } catch (thrown) {
    return ['ENOENT', 'ENOTDIR'].includes((thrown as NodeJS.ErrnoException).code ?? '') ? 'absent' : 'hidden'
  }
  try {
    accessSync(file, constants.X_OK)
    return 'executable'
  } catch {
    return 'not executable'
  }
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}
