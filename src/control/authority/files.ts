/** An authority that the operator brings as files, such as an intermediate of the company's own: read again when they change. */

import { type Certificate, lifeOf, pemBlocks, readCertificate } from '#identity/certificate'
import { issueLeaf, type Signer } from '#identity/issue'
import { readSigningKey } from '#identity/key'
import type { SettingsOf } from '#resources/authority-file'
import { readText } from '#io/files'
import { watchFiles } from '#io/watch'
import type { ForeignPlace } from './foreign.ts'
import type { Issuer } from './issuer.ts'
import { keyBlock, readSecret } from './kept.ts'

const lookEveryMs = 2000

type Read = { readonly signer: Signer; readonly roots: readonly Certificate[]; readonly between: readonly Certificate[] }

export async function openFiles(
  settings: SettingsOf<'Files'>,
  place: ForeignPlace & { readonly passphrase?: string | undefined },
): Promise<Issuer> {
  const { clock, log } = place
  let held = await read(settings, place)
  let known = held.between
  const again = async (): Promise<void> => {
    try {
      held = await read(settings, place)
      known = [...known, ...held.between].slice(-8)
      log.info('the files of the authority were read again', { certificate: settings.certificate })
      place.onChange()
    } catch (thrown) {
      log.error('the files of the authority have changed and cannot be used; what they said before holds on', { error: thrown })
    }
  }
  const end = watchFiles([settings.certificate, settings.key, settings.roots], lookEveryMs, () => void again())
  return {
    type: 'Files',
    roots: () => held.roots,
    anchor: () => held.roots[0]!,
    intermediates: () => known,
    async sign({ publicKey, identity, lifeMs, dns = [], ips = [] }) {
      const { signer } = held
      const { notAfter } = lifeOf(signer.certificate)
      if (notAfter <= clock.now())
        throw new Error(`the certificate in ${settings.certificate} expired at ${new Date(notAfter).toISOString()}: put a newer one there`)
      const issued = issueLeaf(signer, publicKey, identity, clock.now(), { lifeMs, dns, ips })
      return { ...issued, chain: issued.chain.filter(pem => pem !== signer.root) }
    },
    close: end,
  }
}

async function read(
  { certificate, key, roots }: SettingsOf<'Files'>,
  { log, trustDomain, passphrase }: ForeignPlace & { readonly passphrase?: string | undefined },
): Promise<Read> {
  const chain = pemBlocks(await readText(certificate), 'CERTIFICATE').map(readCertificate)
  const trusted = pemBlocks(await readText(roots), 'CERTIFICATE').map(readCertificate)
  const [own] = chain
  if (own === undefined) throw new Error(`${certificate} holds no certificate in PEM form`)
  if (!own.ca) throw new Error(`the first certificate in ${certificate} may not sign others (basic constraints: CA)`)
  if (trusted.length === 0) throw new Error(`${roots} holds no certificate in PEM form`)
  const text = (await readSecret(key, log)) ?? (await readText(key))
  let opened
  try {
    opened = readSigningKey(keyBlock(text) ?? text, passphrase)
  } catch (thrown) {
    throw new Error(`${key}: ${thrown instanceof Error ? thrown.message : String(thrown)}`, { cause: thrown })
  }
  if (!own.checkPrivateKey(opened.private)) throw new Error(`the key in ${key} is not that of the certificate in ${certificate}`)
  const between = chain.filter(one => !one.checkIssued(one))
  const root = rootOf(own, between, trusted)
  if (root === undefined)
    throw new Error(`the certificate in ${certificate} does not lead to a root in ${roots}: add what stands between them to ${certificate}`)
  return {
    signer: { trustDomain, key: opened, certificate: own, chain: between.map(one => one.toString()), root: root.toString() },
    roots: [root, ...trusted.filter(one => one !== root)],
    between,
  }
}

function rootOf(own: Certificate, between: readonly Certificate[], roots: readonly Certificate[]): Certificate | undefined {
  let at = own
  for (let depth = 0; depth < 6; depth++) {
    const isBy = (one: Certificate): boolean => at.checkIssued(one) && at.verify(one.publicKey)
    const root = roots.find(isBy)
    if (root !== undefined) return root
    const next = between.find(one => one !== at && isBy(one))
    if (next === undefined) return undefined
    at = next
  }
  return undefined
}
