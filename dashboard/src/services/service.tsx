/** One service: its ten minutes, who calls it and whom it calls, its routes with their split, its workloads. */

import { Badge, SegmentedControl } from '@mantine/core'
import { IconHexagons } from '@tabler/icons-react'
import { Link, useParams } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { useState } from 'react'
import type { Topology, TopologyService } from '../api/queries.ts'
import { useSeries, useTopology } from '../api/queries.ts'
import { Empty, Loading, Refused } from '../shared/empty.tsx'
import { Page, Section } from '../shared/page.tsx'
import { figuresOf, inboundOf, outboundOf, readyOf, serviceName, sharesOf, wholeOf } from '../topology/figures.ts'
import { SplitBar } from '../topology/split-bar.tsx'
import { Charts } from './charts.tsx'
import { MutualTls } from './mutual-tls.tsx'
import { Policies } from './policies.tsx'
import { Routes } from './routes.tsx'
import css from './service.module.css'
import { Sparing } from './sparing.tsx'
import { Edges, Workloads } from './tables.tsx'

export function ServicePage(): ReactNode {
  const { service: name } = useParams({ from: '/services/$service' })
  const topology = useTopology(15)
  if (!topology.data) return topology.error ? <Refused error={topology.error} retry={() => void topology.refetch()} /> : <Loading />
  const service = topology.data.services.find(service => serviceName(service) === name)
  if (!service) {
    return (
      <Empty icon={<IconHexagons size={36} stroke={1.2} />} title={`There is no service ${name}`}>
        It may have ended. <Link to="/services">See all services</Link>
      </Empty>
    )
  }
  return <Known key={name} name={name} service={service} topology={topology.data} />
}

function Known({ name, service, topology }: { name: string; service: TopologyService; topology: Topology }): ReactNode {
  const [side, setSide] = useState<'inbound' | 'outbound'>('inbound')
  const inbound = inboundOf(topology, name)
  const outbound = outboundOf(topology, name)
  const figures = figuresOf(side === 'inbound' ? inbound : outbound)
  const series = useSeries(name, side)
  const { ready, total } = readyOf(service)
  const shares = sharesOf(inbound)
  const whole = wholeOf(topology, service)
  return (
    <Page
      name={service.name}
      before={<Link to="/services">Services</Link>}
      title={
        <>
          <span data-testid="service-name">{service.name}</span>
          <span className={css['namespace']}>{service.namespace}</span>
          <Badge variant="light" color={total > 0 && ready === total ? 'teal' : ready > 0 ? 'orange' : 'red'}>
            {ready}/{total} ready
          </Badge>
        </>
      }
      aside={
        <SegmentedControl
          size="xs"
          aria-label="Side"
          data={[
            { value: 'inbound', label: 'What it is asked' },
            { value: 'outbound', label: 'What it asks' },
          ]}
          value={side}
          onChange={value => setSide(value as 'inbound' | 'outbound')}
        />
      }
    >
      {whole && inbound.length === 0 && (
        <p className="soft">
          Its workloads belong to{' '}
          <Link to="/services/$service" params={{ service: serviceName(whole) }}>
            {whole.name}
          </Link>
          ; calls to them are counted there.
        </p>
      )}
      <Charts series={series.data} figures={figures} isTcp={figures.tcpRate > 0 && figures.httpRate === 0} />
      <Routes service={service} topology={topology} />
      {shares.length > 1 && (
        <Section title="Traffic by version, last 15 s" testid="versions">
          <div className={`panel ${css['pad']}`}>
            <SplitBar shares={shares} isLabelled />
          </div>
        </Section>
      )}
      <div className={css['two']}>
        <Section title="Called by">
          <Edges edges={inbound} end="source" none="Nobody calls it at the moment." />
        </Section>
        <Section title="Calls">
          <Edges edges={outbound} end="destination" none="It calls nobody at the moment." />
        </Section>
      </div>
      <Sparing name={name} />
      <MutualTls service={service.name} namespace={service.namespace} />
      <Policies name={name} topology={topology} />
      <Section title="Workloads">
        <Workloads service={service} inbound={inbound} />
      </Section>
    </Page>
  )
}
