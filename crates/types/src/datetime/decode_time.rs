//! Input of times of day: PostgreSQL's DecodeTimeOnly. A date may stand beside the time, to say which offset a zone has.

use super::decode_date::{Decoder, Label, ZoneFound, named_zone, zone_abbreviation};
use super::decode_number::decode_offset;
use super::decode_number::found::*;
use super::scan::{self, DecodeError, Decoded, Field, Kind};
use super::token::{self, Reserved, Token};
use super::*;
use crate::datum::TimeTz;
use crate::format::FormatContext;

impl Decoder<'_> {
    fn time_field(&mut self, position: usize, fields: &[Field]) -> Decoded<()> {
        let field = &fields[position];
        let text = field.text.as_str();
        // Whether a date may stand in front.
        let last_is_date = fields.len() >= 2 && fields[fields.len() - 1].kind == Kind::Date;
        let date_first = position == 0 && last_is_date;
        let found = match field.kind {
            Kind::Date
                if date_first
                    || (position == 0 && fields.get(1).is_some_and(|next| next.kind == Kind::Time)) =>
            {
                self.parts.decode_date(text, self.mask, self.context.date_order)?
            }
            Kind::Date if text.starts_with(|c: char| c.is_ascii_digit()) => {
                if self.mask & TIME == TIME {
                    return Err(DecodeError::BadFormat);
                }
                let minus = text.find('-').ok_or(DecodeError::BadFormat)?;
                self.zone = Some(ZoneFound::Offset(decode_offset(&text[minus..])?));
                self.label = None;
                self.parts.decode_number_field(&text[..minus], self.mask | DATE)?.0 | ZONE
            }
            Kind::Date => {
                self.zone = Some(named_zone(text)?);
                ZONE
            }
            Kind::Time => {
                self.label = None;
                self.parts.decode_time(text)?
            }
            Kind::Zone => {
                self.zone = Some(ZoneFound::Offset(decode_offset(text)?));
                ZONE
            }
            Kind::Number => match self.label.take() {
                Some(label) => self.labelled(label, text)?,
                None => self.time_number(text, date_first)?,
            },
            Kind::Word | Kind::Special => self.time_word(text, fields.get(position + 1))?,
        };
        self.note(found)
    }

    fn time_number(&mut self, text: &str, date_first: bool) -> Decoded<u32> {
        match text.find('.') {
            Some(_) if date_first => self.parts.decode_date(text, self.mask, self.context.date_order),
            Some(point) if point <= 2 => Err(DecodeError::BadFormat),
            None if text.len() <= 4 => {
                self.parts.decode_number(text, false, self.mask | DATE, self.context.date_order)
            }
            _ => self.parts.decode_number_field(text, self.mask | DATE).map(|(found, _)| found),
        }
    }

    fn time_word(&mut self, word: &str, next: Option<&Field>) -> Decoded<u32> {
        if let Some((zone, mask)) = zone_abbreviation(word) {
            self.zone = Some(zone);
            return Ok(mask);
        }
        let Some(token) = token::date_token(word) else {
            self.zone = Some(named_zone(word).map_err(|_| DecodeError::BadFormat)?);
            return Ok(ZONE);
        };
        match token {
            Token::Ignored => Ok(0),
            Token::Reserved(Reserved::Now) => {
                self.set_clock_to_now();
                Ok(TIME)
            }
            Token::Reserved(Reserved::Midnight) => {
                self.parts.set_clock(0);
                self.zone = Some(ZoneFound::Offset(0));
                Ok(TIME | ZONE)
            }
            Token::DaylightSaving => {
                self.add_daylight_saving();
                Ok(SAVING | SUMMER_ZONE)
            }
            Token::Am | Token::Pm => {
                self.afternoon = Some(token == Token::Pm);
                Ok(MERIDIAN)
            }
            Token::Ad | Token::Bc => {
                self.parts.before_christ = token == Token::Bc;
                Ok(ERA)
            }
            Token::Label(unit) => {
                self.label = Some(Label::Unit(unit));
                Ok(0)
            }
            Token::LabelMinute => {
                self.label = Some(Label::Minute);
                Ok(0)
            }
            Token::IsoTime => {
                if !next.is_some_and(Field::may_be_time) {
                    return Err(DecodeError::BadFormat);
                }
                self.label = Some(Label::Time);
                Ok(0)
            }
            Token::Reserved(_) | Token::Month(_) | Token::Weekday => Err(DecodeError::BadFormat),
        }
    }
}

/// Microseconds since midnight, and seconds east.
fn decode(text: &str, context: &FormatContext) -> Decoded<(i64, i32)> {
    let fields = scan::fields(text)?;
    let mut decoder = Decoder::new(context);
    for position in 0..fields.len() {
        decoder.time_field(position, &fields)?;
    }
    let mask = decoder.mask;
    decoder.parts.validate_date(mask)?;
    decoder.apply_meridian()?;
    if decoder.parts.time_overflows() {
        return Err(DecodeError::FieldOverflow);
    }
    if mask & TIME != TIME {
        return Err(DecodeError::BadFormat);
    }
    let clock = decoder.parts.clock();
    let day = match mask & DATE {
        DATE => decoder.parts.date().days(),
        0 => {
            // A zone with changes needs a date to say which offset holds.
            if let Some(ZoneFound::Named(zone)) = &decoder.zone
                && !zone.is_constant()
            {
                return Err(DecodeError::BadFormat);
            }
            decoder.today()
        }
        _ => return Err(DecodeError::BadFormat),
    };
    let local = day.saturating_mul(MICROSECONDS_PER_DAY).saturating_add(clock);
    Ok((clock, decoder.east_seconds(local)?))
}

pub(crate) fn parse_time(text: &str, typmod: i32, context: &FormatContext) -> PgResult<i64> {
    let (clock, _) = decode(text, context).map_err(|error| error.into_error("time", text))?;
    Ok(round_time(clock, typmod))
}

pub(crate) fn parse_timetz(text: &str, typmod: i32, context: &FormatContext) -> PgResult<TimeTz> {
    let (clock, east) =
        decode(text, context).map_err(|error| error.into_error("time with time zone", text))?;
    Ok(TimeTz { microseconds: round_time(clock, typmod), zone_west_seconds: -east })
}
