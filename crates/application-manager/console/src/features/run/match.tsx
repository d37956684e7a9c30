import { IconAlertTriangle, IconCircleCheck } from '@tabler/icons-react';
import { queryOptions } from '@tanstack/react-query';
import { api, ask } from '@/api/client';
import type { Match, SlotMatch } from '@/api/types';
import { howMany } from '@/features/applications/manifest';
import { count } from '@/ui/format';
import classes from './match.module.css';

/** What a place has for an application. */
export function matchOptions(name: string, version: string, location: string) {
  return queryOptions({
    queryKey: ['match', name, version, location],
    queryFn: () => ask(api.GET('/api/v1/applications/{name}/match', { params: { path: { name }, query: { location, version } } })),
    staleTime: 30_000,
  });
}

/** Says in short whether a place fits. */
export function Fit({ match }: { match: Match | undefined }) {
  if (match === undefined) return null;
  const lacking = Object.values(match.slots).filter(({ missing }) => missing !== null && missing !== undefined).length;
  return match.satisfied ? (
    <span className={classes.fits}>
      <IconCircleCheck size={14} aria-hidden /> fits
    </span>
  ) : (
    <span className={classes.lacks}>
      <IconAlertTriangle size={14} aria-hidden /> lacks {String(lacking)}
    </span>
  );
}

/** Slot by slot: what is there, what is missing. */
export function Slots({ match }: { match: Match }) {
  const slots = Object.entries(match.slots);
  if (slots.length === 0) return <p className="soft small">It needs nothing of a place.</p>;
  return (
    <ul className={classes.slots}>
      {slots.map(([name, slot]) => (
        <Slot key={name} slot={slot} />
      ))}
    </ul>
  );
}

/** Names what a slot is for: `temperature sensors`, `fan`. */
function wanted({ type, kind, min, max }: SlotMatch, number = max ?? min + 1): string {
  const title = type.title.toLowerCase();
  if (kind === 'device') return number === 1 ? title : `${title}s`;
  return number === 1 ? `${title} sensor` : `${title} sensors`;
}

const SHOWN = 6;

function Slot({ slot }: { slot: SlotMatch }) {
  const lacking = slot.missing !== null && slot.missing !== undefined;
  const { members } = slot.found;
  const rest = members.length - SHOWN;
  return (
    <li className={classes.slot} data-lacking={lacking}>
      {lacking ? <IconAlertTriangle size={17} aria-label="missing" /> : <IconCircleCheck size={17} aria-label="there" />}
      <div>
        <div>
          <strong>{slot.title}</strong> <span className="soft small">needs {howMany(slot)} {wanted(slot)}</span>
        </div>
        {members.length > 0 && (
          <div className={classes.members}>
            {members.slice(0, SHOWN).map((member) => (
              <span key={member.id} title={member.location}>
                {member.name}
              </span>
            ))}
            {rest > 0 && <span>and {String(rest)} more</span>}
          </div>
        )}
        {lacking && (
          <div className={classes.missing}>
            {members.length === 0 ? `There is no ${wanted(slot, 1)} here.` : `Only ${count(members.length)} ${members.length === 1 ? 'is' : 'are'} here.`}
          </div>
        )}
      </div>
    </li>
  );
}
