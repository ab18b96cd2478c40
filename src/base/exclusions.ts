/** What interception leaves alone, as the operator wrote it: the words of command lines and of packet filters at once. */

export type Exclusions = {
  /** `5432` or `6000-6010`. */
  readonly outboundPorts: readonly string[]
  /** Addresses or networks of either family. */
  readonly outboundCidrs: readonly string[]
  /** Names or numbers of users. */
  readonly outboundUids: readonly string[]
  readonly inboundPorts: readonly string[]
  readonly inboundCidrs: readonly string[]
}

export const noExclusions: Exclusions = { outboundPorts: [], outboundCidrs: [], outboundUids: [], inboundPorts: [], inboundCidrs: [] }
