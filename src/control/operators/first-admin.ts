/** The token of the first admin, for a control plane at which nobody could log in otherwise. */

import { writeAtomic } from '#io/files'
import type { Operators } from '../operators.ts'

/** Where everybody has to log in, somebody must be able to, once: the file with the token, readable by its owner only. */
export async function keepFirstAdmin({ isRequired, firstAdmin }: Operators, folder: string): Promise<string | undefined> {
  const token = isRequired ? firstAdmin() : undefined
  if (token === undefined) return undefined
  const path = `${folder}/admin.token`
  await writeAtomic(path, `${token}\n`, { mode: 0o600 })
  return path
}
