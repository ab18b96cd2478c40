/** A view as people may see it: without the private keys of Gateways and of client certificates, and without the secrets of logins. */

import type { Backend } from './backend.ts'
import type { Listener } from './listener.ts'
import type { View } from './view.ts'

const hidden = 'not shown'

/** The same object where there is nothing to hide. */
export function withoutKeys(view: View): View {
  const all = Object.values(view.listeners)
  const shown = Object.values(view.backends).filter(each => each.tls?.certificate !== undefined)
  if (shown.length === 0 && !all.some(each => each.terminates !== undefined || each.logins !== undefined)) return view
  return {
    ...view,
    listeners: Object.fromEntries(all.map(each => [each.name, bare(each)])),
    backends: { ...view.backends, ...Object.fromEntries(shown.map(each => [each.name, bareBackend(each)])) },
  }
}

const bareBackend = ({ tls, ...rest }: Backend): Backend => ({
  ...rest,
  tls: { ...tls, certificate: { cert: tls!.certificate!.cert, key: hidden } },
})

const bare = ({ terminates, logins, ...rest }: Listener): Listener => ({
  ...rest,
  ...(terminates === undefined
    ? {}
    : { terminates: terminates.map(each => ({ ...each, certificates: each.certificates.map(({ cert }) => ({ cert, key: hidden })) })) }),
  ...(logins === undefined ? {} : { logins: logins.map(each => ({ ...each, secret: hidden, keys: [hidden] })) }),
})
