/** `weft control`: the control plane as a process, until it is told to end. */

import { resolve } from 'node:path'
import type { ControlOptions } from '#cli/options'
import { openPlane, type Plane, type PlaneOptions } from '#control/plane'
import { readText, userState } from '#io/files'
import type { ControlWorld } from './world.ts'

export async function control(options: ControlOptions, world: ControlWorld): Promise<number> {
  const { log, version, dashboard, signal } = world
  const folder = options.data === undefined ? `${userState(world.env)}/control` : resolve(options.data)
  try {
    await using plane = await openPlane({
      folder,
      trustDomain: options.trustDomain,
      ...(options.idTemplate === undefined ? {} : { idTemplate: options.idTemplate }),
      ...(options.leafLifeMs === undefined ? {} : { leafLifeMs: options.leafLifeMs }),
      ...(options.rejoinMs === undefined ? {} : { rejoinMs: options.rejoinMs }),
      ...(await keysOf(options, world.env)),
      ...(await redisOf(options, world.env)),
      ...(options.attestSocket === undefined ? {} : { attestSocket: resolve(options.attestSocket) }),
      ...(options.attestRoots === undefined ? {} : { attestRoots: resolve(options.attestRoots) }),
      api: {
        ...options.api,
        ...(options.api.certificate === undefined
          ? {}
          : { certificate: { cert: resolve(options.api.certificate.cert), key: resolve(options.api.certificate.key) } }),
      },
      requireLogin: options.requireLogin,
      ...(options.operators === undefined ? {} : { operators: resolve(options.operators) }),
      xds: options.xds,
      ...(options.bundle === undefined
        ? {}
        : {
            bundle: {
              ...options.bundle,
              ...(options.bundle.certificate === undefined
                ? {}
                : { certificate: { cert: resolve(options.bundle.certificate.cert), key: resolve(options.bundle.certificate.key) } }),
            },
          }),
      ...(options.bundleRefreshS === undefined ? {} : { bundleRefreshS: options.bundleRefreshS }),
      dashboard,
      version,
      log,
    })
    const api = plane.api.url
    const xds = `${plane.xds.host}:${plane.xds.port}`
    const bundleUrl = plane.bundle && `https://${plane.bundle.host}:${plane.bundle.port}/`
    if (options.json)
      world.print(
        `${JSON.stringify({ api, dashboard: api, xds, data: folder, trustDomain: options.trustDomain, version, bundle: bundleUrl, ca: plane.ca, firstAdmin: plane.firstAdmin })}\n`,
      )
    else
      world.say(
        `control plane ${version}\n  dashboard and API   ${api}\n  proxies             ${xds}\n  data                ${folder}${bundleUrl === undefined ? '' : `\n  trust bundle        ${bundleUrl}`}${more(plane)}`,
      )
    if (!signal.aborted) await new Promise(done => signal.addEventListener('abort', done, { once: true }))
    return 0
  } catch (thrown) {
    world.say(`weft: ${thrown instanceof Error ? thrown.message : String(thrown)}`)
    if (world.env['WEFT_DEBUG'] === '1' && thrown instanceof Error) world.say(thrown.stack ?? '')
    return 1
  }
}

/** How to get in. */
const more = ({ ca, firstAdmin }: Plane): string =>
  [
    ...(ca === undefined ? [] : [`\n  known by            ${ca} (--ca, WEFT_CA)`]),
    ...(firstAdmin === undefined
      ? []
      : [`\n  first admin         token in ${firstAdmin} (--token-file, WEFT_TOKEN_FILE): make users with it, then revoke it`]),
  ].join('')

/** Which authority signs, and by what its keys are encrypted. */
async function keysOf(
  { authority }: ControlOptions,
  env: ControlWorld['env'],
): Promise<Pick<PlaneOptions, 'authority' | 'passphrase' | 'variables'>> {
  const file = env['WEFT_AUTHORITY_PASSPHRASE_FILE']
  const passphrase = file === undefined ? env['WEFT_AUTHORITY_PASSPHRASE'] : (await readText(file)).replace(/\r?\n$/, '')
  if (passphrase === '') throw new Error('WEFT_AUTHORITY_PASSPHRASE is empty: give a passphrase, or leave the variable out')
  return {
    ...(passphrase === undefined ? {} : { passphrase }),
    ...(authority === undefined ? {} : { authority: resolve(authority), variables: env }),
  }
}

/** The password is for no command line, which everybody on the machine can read. */
async function redisOf({ redis }: ControlOptions, env: ControlWorld['env']): Promise<Pick<PlaneOptions, 'redis'>> {
  if (redis === undefined) return {}
  const file = env['WEFT_REDIS_PASSWORD_FILE']
  const password = file === undefined ? env['WEFT_REDIS_PASSWORD'] : (await readText(file)).replace(/\r?\n$/, '')
  return { redis: { url: redis, ...(password === undefined ? {} : { password }) } }
}
