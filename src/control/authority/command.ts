/** A program of the operator's signs. */

import { durationMs } from '#resources/duration'
import type { SettingsOf } from '#resources/authority-file'
import { askCommand } from '#io/ask-command'
import { readText } from '#io/files'
import type { Foreign } from './foreign.ts'

export function commandAuthority({ command, timeout, roots }: SettingsOf<'Command'>): Foreign {
  const [program = ''] = command
  return {
    type: 'Command',
    place: program,
    roots: () => readText(roots),
    async sign({ csr, identity, lifeMs, dns = [], ips = [] }) {
      const { code, stdout, stderr } = await askCommand(command, {
        input: csr,
        env: {
          WEFT_IDENTITY: identity,
          WEFT_LIFE_SECONDS: String(Math.floor(lifeMs / 1000)),
          WEFT_DNS: dns.join(','),
          WEFT_IPS: ips.join(','),
        },
        timeoutMs: durationMs(timeout),
      })
      if (code !== 0) throw new Error(`it ended with code ${code}: ${stderr.trim().slice(-500) || 'it said nothing on stderr'}`)
      return stdout
    },
  }
}
