/** Certificates of other authorities taken as proof of who asks for one of the mesh: which roots are believed for that, and which Registration fits. */

import type { Clock } from '#base/clock'
import type { Log } from '#base/log'
import { type Certificate, pemBlocks, readCertificate } from '#identity/certificate'
import { readCsr } from '#identity/csr'
import { verifyAttestation } from '#identity/rejoin'
import type { SpiffeId } from '#identity/spiffe'
import { readText } from '#io/files'
import { watchFiles } from '#io/watch'
import { NobodyKnown, type Registrations } from './registrations.ts'

const lookEveryMs = 2000

export type AttestedCertificates = {
  /** Whom the request is for. Throws BadRejoin or NobodyKnown. */
  identify(proof: string, csr: string): Promise<SpiffeId>
  close(): void
}

/** path: of the roots, PEM, read again when it changes. Rejects with one sentence. */
export async function openAttestedCertificates(
  path: string,
  { registrations, clock, log }: { readonly registrations: Registrations; readonly clock: Clock; readonly log: Log },
): Promise<AttestedCertificates> {
  let roots = await readRoots(path)
  const again = async (): Promise<void> => {
    try {
      roots = await readRoots(path)
      log.info('the roots of certificates that are taken as attestation were read again', { path, roots: roots.length })
    } catch (thrown) {
      log.error('the roots of certificates that are taken as attestation have changed and cannot be used; what was before holds on', {
        error: thrown,
      })
    }
  }
  return {
    async identify(proof, csr) {
      const shown = await verifyAttestation(proof, csr, roots, clock.now())
      const all = registrations.ofCertificate(shown)
      const { uris } = readCsr(csr)
      const found = all.find(({ identity }) => uris.includes(identity))
      if (found === undefined)
        throw new NobodyKnown(
          `the certificate ${shown} is registered as ${all.map(({ identity }) => identity).join(' or ')}, not as ${uris.join(' ') || 'nobody'}`,
        )
      return found.identity
    },
    close: watchFiles([path], lookEveryMs, () => void again()),
  }
}

async function readRoots(path: string): Promise<readonly Certificate[]> {
  const found = pemBlocks(await readText(path), 'CERTIFICATE').map(readCertificate)
  if (found.length === 0) throw new Error(`${path} holds no certificate in PEM form`)
  const leaf = found.find(({ ca }) => !ca)
  if (leaf !== undefined) throw new Error(`${path} holds a certificate that may not sign others (${leaf.subject}): give the roots`)
  return found
}
