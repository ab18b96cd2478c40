/** Where `weft control` serves the roots of the mesh to others. */

import type { Flags } from './collect.ts'

/** certificate: files, as typed. */
export type BundleFlags = {
  readonly bundle?: { readonly host: string; readonly port: number; readonly certificate?: { readonly cert: string; readonly key: string } }
  readonly bundleRefreshS?: number
}

export function bundleOf(flags: Flags): BundleFlags {
  const [cert, key, host] = [flags.text('bundleCert'), flags.text('bundleKey'), flags.text('bundleHost')]
  const port = flags.whole('bundlePort', 0, 65_535)
  const refreshMs = flags.duration('bundleRefresh')
  if ((cert === undefined) !== (key === undefined)) flags.wrong('--bundle-cert and --bundle-key belong together: give both')
  for (const [name, given] of Object.entries({ host, cert, refresh: refreshMs }))
    if (given !== undefined && port === undefined) flags.wrong(`--bundle-${name} goes with --bundle-port`)
  if (refreshMs !== undefined && (refreshMs < 1000 || refreshMs > 86_400_000)) flags.wrong('--bundle-refresh: must be from 1s to 24h')
  if (port === undefined) return {}
  return {
    bundle: { host: host ?? '127.0.0.1', port, ...(cert === undefined || key === undefined ? {} : { certificate: { cert, key } }) },
    ...(refreshMs === undefined ? {} : { bundleRefreshS: Math.round(refreshMs / 1000) }),
  }
}
