/** The Secret that a CertificateIssuer fills: what it holds now, and how it is written. */

import { type Leaf, leafOf } from '#identity/acme'
import type { Key } from '#identity/key'
import { judgeServerCertificate } from '#identity/server-certificate'
import type { OrderedCertificate } from '#compiler'
import type { Resource } from '#resources/kind'
import { issuerAnnotation } from '#resources/weft'
import type { Store } from '../store.ts'

type Filling = Resource & { readonly type?: string; readonly data?: Readonly<Record<string, string>> }

/** Both halves of `NAMESPACE/NAME`. */
export const partsOf = (name: string): readonly [namespace: string, name: string] => {
  const at = name.indexOf('/')
  return [name.slice(0, at), name.slice(at + 1)]
}

export const hostsOf = ({ hosts }: OrderedCertificate): readonly string[] => [...new Set(hosts.map(({ host }) => host))].sort()

const nameOf = (secret: string) => {
  const [namespace, name] = partsOf(secret)
  return { group: '', kind: 'Secret', namespace, name }
}

/** version: of the Secret, '' where there is none. leaf: of the certificate that is as ordered; absent: there is none. */
export function heldBy(store: Pick<Store, 'get'>, ordered: OrderedCertificate): { readonly version: string; readonly leaf?: Leaf } {
  const secret = store.get(nameOf(ordered.secret)) as Filling | undefined
  const version = secret?.metadata.resourceVersion ?? ''
  const pair = { cert: textOf(secret?.data?.['tls.crt']), key: textOf(secret?.data?.['tls.key']) }
  const isOurs = secret?.metadata.annotations?.[issuerAnnotation] === partsOf(ordered.issuer)[1]
  if (!isOurs || judgeServerCertificate(pair) !== undefined) return { version }
  const leaf = leafOf(pair.cert)
  return leaf.names.join() === hostsOf(ordered).join() ? { version, leaf } : { version }
}

/** Throws StoreError when somebody else wrote it meanwhile. */
export function fill(store: Store, ordered: OrderedCertificate, pair: { readonly chain: string; readonly key: Key }): void {
  const about = nameOf(ordered.secret)
  const before = store.get(about) as Filling | undefined
  if (before !== undefined && before.metadata.annotations?.[issuerAnnotation] === undefined)
    throw new Error(`Secret ${ordered.secret} was written by somebody else meanwhile, and is left alone`)
  const [, issuer] = partsOf(ordered.issuer)
  const resource: Filling = {
    ...(before ?? { apiVersion: 'v1', kind: 'Secret' }),
    metadata: {
      ...(before?.metadata ?? { namespace: about.namespace, name: about.name }),
      annotations: { ...before?.metadata.annotations, [issuerAnnotation]: issuer },
    },
    type: 'kubernetes.io/tls',
    data: { 'tls.crt': base64(pair.chain), 'tls.key': base64(pair.key.pem) },
  }
  if (before === undefined) store.create(resource)
  else store.update(resource, { ifVersion: before.metadata.resourceVersion })
  store.note('issued', about, { who: `CertificateIssuer ${ordered.issuer}`, how: 'acme', address: '', agent: '' })
}

/** Of a Secret; '' where there is none. */
export const versionOf = (store: Pick<Store, 'get'>, namespace: string, name: string): string =>
  store.get(nameOf(`${namespace}/${name}`))?.metadata.resourceVersion ?? ''

/** The HMAC key of an external account, as it was given: base64url. Throws Error with what is missing. */
export function hmacOf(
  store: Pick<Store, 'get'>,
  namespace: string,
  { name, key }: { readonly name: string; readonly key: string },
): Uint8Array {
  const secret = store.get(nameOf(`${namespace}/${name}`)) as Filling | undefined
  const at = `spec.externalAccount.keyRef: Secret ${namespace}/${name}`
  if (secret === undefined) throw new Error(`${at} does not exist`)
  const text = textOf(secret.data?.[key]).trim()
  if (!/^[A-Za-z0-9_+/-]+=*$/.test(text)) throw new Error(`${at} has no entry ${key} that holds a key in base64url`)
  return Buffer.from(text, 'base64url')
}

const base64 = (text: string): string => Buffer.from(text, 'utf8').toString('base64')
const textOf = (text = ''): string => Buffer.from(text, 'base64').toString('utf8')
