/** What is shown when an address leads nowhere or a page breaks: what happened and the way out. */

import { Button, Code, Group } from '@mantine/core'
import { IconBug, IconMapOff } from '@tabler/icons-react'
import type { ErrorComponentProps } from '@tanstack/react-router'
import { Link } from '@tanstack/react-router'
import { Empty } from '../shared/empty.tsx'

export const NotFound = () => (
  <Empty icon={<IconMapOff />} title="There is no such page">
    <Link to="/">Go to the topology</Link>
  </Empty>
)

export const Crashed = ({ error, reset }: ErrorComponentProps) => (
  <Empty icon={<IconBug />} title="This page broke">
    <Code block maw={640}>
      {error instanceof Error ? error.message : String(error)}
    </Code>
    <Group justify="center" mt="md">
      <Button variant="default" onClick={reset}>
        Try again
      </Button>
      <Button variant="default" onClick={() => location.reload()}>
        Load the dashboard anew
      </Button>
    </Group>
  </Empty>
)
