/** Shares of one rule as sliders: drag or type, apply, and watch the traffic follow. */

import { Alert, Button, Group, NumberInput, Slider } from '@mantine/core'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { useState } from 'react'
import { useWhyNot } from '../api/login.ts'
import type { Topology, TopologyService } from '../api/queries.ts'
import type { Kind, Resource } from '../api/resources.ts'
import { isConflict, kindsQuery, listQuery, readObject, replaceObject, revisionOf } from '../api/resources.ts'
import { Converging } from '../shared/converging.tsx'
import { HashLink } from '../shared/hash-link.tsx'
import { inboundOf, serviceName } from '../topology/figures.ts'
import { shareColour } from '../topology/split-bar.tsx'
import css from './service.module.css'
import type { BackendRef } from './split.ts'
import { percentsOf, specOf, withShare, withWeights } from './split.ts'

const useServices = (): readonly Resource[] => {
  const kind = useQuery(kindsQuery).data?.find(kind => kind.group === '' && kind.plural === 'services')
  return useQuery(listQuery(kind)).data?.items ?? []
}

type Props = {
  readonly route: Resource
  readonly kind: Kind
  readonly rule: number
  readonly service: TopologyService
  readonly topology: Topology
}

export function SplitControl({ route, kind, rule, service, topology }: Props): ReactNode {
  const refs = specOf(route).rules?.[rule]?.backendRefs ?? []
  const [wanted, setWanted] = useState<readonly number[]>()
  const client = useQueryClient()
  const whyNot = useWhyNot(kind, route.metadata.namespace)
  const apply = useMutation({
    mutationFn: (shares: readonly number[]) => writeSplit(route, kind, rule, refs, shares),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ['list', kind.group, kind.version, kind.plural] })
      setWanted(undefined)
    },
  })
  const active = percentsOf(refs)
  const shown = wanted ?? active
  const observed = observedShares(refs, route, service, topology, useServices())
  const isChanged = wanted !== undefined && wanted.some((share, index) => share !== active[index])
  const change = (index: number, value: number): void => setWanted(withShare(shown, index, value))
  return (
    <div data-testid="split-control" data-route={route.metadata.name}>
      <div className={css['split']}>
        <span />
        <span />
        <span className="soft">wanted</span>
        <span className="soft">seen, last 15 s</span>
        {refs.map((ref, index) => (
          <Shares
            key={`${ref.name} ${index}`}
            backend={ref}
            namespace={ref.namespace ?? route.metadata.namespace ?? 'default'}
            colour={shareColour(index)}
            wanted={shown[index] ?? 0}
            seen={observed?.[index]}
            change={value => change(index, value)}
          />
        ))}
      </div>
      <Group gap="sm" mt="sm" mih={30}>
        <Button
          size="xs"
          disabled={!isChanged || whyNot !== undefined}
          title={whyNot}
          loading={apply.isPending}
          onClick={() => wanted && apply.mutate(wanted)}
          data-testid="split-apply"
        >
          Apply split
        </Button>
        {isChanged && (
          <Button size="xs" variant="subtle" color="gray" onClick={() => setWanted(undefined)}>
            Back to {active.join(' / ')}
          </Button>
        )}
        {!isChanged && apply.data && <Converging revision={revisionOf(apply.data)} />}
      </Group>
      {apply.error && (
        <Alert mt="sm" color="red" variant="light" title="The split was not changed" data-testid="split-error">
          {apply.error.message}
        </Alert>
      )}
    </div>
  )
}

type SharesProps = {
  readonly backend: BackendRef
  readonly namespace: string
  readonly colour: string
  readonly wanted: number
  readonly seen: number | undefined
  readonly change: (value: number) => void
}

const Shares = ({ backend, namespace, colour, wanted, seen, change }: SharesProps): ReactNode => (
  <>
    <HashLink to={`/resources/core/v1/services/${namespace}/${backend.name}`} className={css['backend'] ?? ''}>
      <i style={{ background: colour }} />
      {backend.name}
    </HashLink>
    <Slider
      value={wanted}
      onChange={change}
      color={colour}
      size="sm"
      label={null}
      min={0}
      max={100}
      thumbProps={{ 'aria-label': `Share of ${backend.name}` }}
    />
    <NumberInput
      size="xs"
      w={86}
      min={0}
      max={100}
      clampBehavior="strict"
      allowDecimal={false}
      suffix=" %"
      value={wanted}
      onChange={value => typeof value === 'number' && change(value)}
      aria-label={`Share of ${backend.name} in percent`}
      data-testid={`split-input-${backend.name}`}
    />
    <span className={css['seen']} data-testid={`split-seen-${backend.name}`} data-share={seen === undefined ? '' : (seen * 100).toFixed(1)}>
      <span style={{ width: `${(seen ?? 0) * 100}%`, background: colour }} />
      <b>{seen === undefined ? '–' : `${(seen * 100).toFixed(seen > 0 && seen < 0.1 ? 1 : 0)} %`}</b>
    </span>
  </>
)

/** Writes the weights onto the newest version of the route. When somebody else changed it meanwhile, the new shares go onto theirs, unless the backends are other ones. */
async function writeSplit(
  route: Resource,
  kind: Kind,
  rule: number,
  refs: readonly BackendRef[],
  shares: readonly number[],
): Promise<Resource> {
  const { namespace, name } = route.metadata
  for (let attempt = 0; ; attempt++) {
    const newest = await readObject(kind, namespace, name)
    const now = specOf(newest).rules?.[rule]?.backendRefs ?? []
    if (now.map(ref => ref.name).join() !== refs.map(ref => ref.name).join())
      throw new Error(`Somebody changed the backends of ${name} meanwhile. Look at them and set the split again.`)
    try {
      return await replaceObject(kind, withWeights(newest, rule, shares))
    } catch (thrown) {
      if (!isConflict(thrown) || attempt === 4) throw thrown
    }
  }
}

/** What each backend really got of the calls to this service. Undefined where that cannot be told. */
function observedShares(
  refs: readonly BackendRef[],
  route: Resource,
  service: TopologyService,
  topology: Topology,
  services: readonly Resource[],
): readonly number[] | undefined {
  const rows = inboundOf(topology, serviceName(service)).flatMap(edge => edge.versions)
  const total = rows.reduce((sum, row) => sum + row.rate, 0)
  if (total === 0) return undefined
  return refs.map(ref => {
    const own = workloadsOf(ref.name, ref.namespace ?? route.metadata.namespace ?? 'default', topology, services)
    return rows.reduce((sum, row) => sum + (own.has(row.workload) ? row.rate : 0), 0) / total
  })
}

/** NAME.NAMESPACE of the workloads that a Service selects by the labels that the topology knows: `app` and `version`. */
function workloadsOf(name: string, namespace: string, topology: Topology, services: readonly Resource[]): ReadonlySet<string> {
  const found = services.find(other => other.metadata.name === name && other.metadata.namespace === namespace)
  const selector = (found?.spec as { selector?: Record<string, string> } | undefined)?.selector ?? { app: name }
  const workloads = topology.services
    .filter(other => other.namespace === namespace)
    .flatMap(other =>
      other.workloads.map(workload => ({
        id: `${workload.name}.${namespace}`,
        labels: { app: other.name, version: workload.version ?? '' } as Record<string, string>,
      })),
    )
  return new Set(
    workloads.filter(({ labels }) => Object.entries(selector).every(([label, value]) => labels[label] === value)).map(({ id }) => id),
  )
}
