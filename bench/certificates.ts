/** Throw-away certificates for one run: a root and one leaf each for a client and a server, with SPIFFE ids, as every peer reads them. */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createRoot, issueLeaf } from '../src/identity/issue.ts'
import { newKey } from '../src/identity/key.ts'
import { workloadId } from '../src/identity/spiffe.ts'
import type { TlsMaterial } from '../src/io/net.ts'

export const trustDomain = 'mesh.local'
export type Who = 'client' | 'server'
export const idOf = (who: Who): string => workloadId(trustDomain, { namespace: 'app', serviceAccount: who })
/** For peers that cannot check a SPIFFE id. */
export const dnsNameOf = (who: Who): string => `${who}.${trustDomain}`

/** Writes ca.pem, and for client and server NAME.pem, NAME.key and NAME.both (HAProxy wants one file). Resolves with what writes new ones of the same root. */
export async function writeCertificates(folder: string): Promise<() => Promise<void>> {
  const root = createRoot(trustDomain, await newKey(), Date.now())
  writeFileSync(join(folder, 'ca.pem'), root.root)
  const write = () => writeLeaves(folder, root)
  await write()
  return write
}

async function writeLeaves(folder: string, root: Parameters<typeof issueLeaf>[0]): Promise<void> {
  for (const who of ['client', 'server'] as const) {
    const key = await newKey()
    const id = workloadId(trustDomain, { namespace: 'app', serviceAccount: who })
    const [leaf = ''] = issueLeaf(root, key.public, id, Date.now(), { dns: [dnsNameOf(who)] }).chain
    writeFileSync(join(folder, `${who}.pem`), leaf)
    writeFileSync(join(folder, `${who}.key`), key.pem)
    writeFileSync(join(folder, `${who}.both`), `${leaf.trimEnd()}\n${key.pem}`)
  }
}

export function readMaterial(folder: string, who: Who): TlsMaterial {
  const read = (name: string) => readFileSync(join(folder, name), 'utf8')
  return { key: read(`${who}.key`), cert: read(`${who}.pem`), roots: [read('ca.pem')] }
}
