// The shortcodes that operations people and bots use most. An unknown one is shown as it was typed.

const TABLE = `
pushpin 📌|round_pushpin 📍|warning ⚠|rotating_light 🚨|fire 🔥|bell 🔔|no_bell 🔕|mega 📣|loudspeaker 📢|siren 🚨
white_check_mark ✅|heavy_check_mark ✔|ballot_box_with_check ☑|x ❌|no_entry ⛔|no_entry_sign 🚫|stop_sign 🛑|octagonal_sign 🛑
heavy_plus_sign ➕|heavy_minus_sign ➖|question ❓|grey_question ❔|exclamation ❗|bangbang ‼|information_source ℹ|sos 🆘
red_circle 🔴|large_orange_circle 🟠|large_yellow_circle 🟡|large_green_circle 🟢|large_blue_circle 🔵|white_circle ⚪|black_circle ⚫
large_blue_square 🟦|red_square 🟥|white_large_square ⬜|black_large_square ⬛
eyes 👀|wave 👋|+1 👍|thumbsup 👍|-1 👎|thumbsdown 👎|clap 👏|raised_hands 🙌|pray 🙏|muscle 💪|point_right 👉|ok_hand 👌|raised_hand ✋|handshake 🤝
tada 🎉|sparkles ✨|rocket 🚀|star ⭐|bulb 💡|zap ⚡|boom 💥|heart ❤|green_heart 💚|broken_heart 💔|100 💯|checkered_flag 🏁
smile 😄|slightly_smiling_face 🙂|grinning 😀|joy 😂|sweat_smile 😅|thinking_face 🤔|cry 😢|sob 😭|scream 😱|sunglasses 😎|neutral_face 😐|confused 😕|disappointed 😞|exploding_head 🤯|sleeping 😴|robot_face 🤖|zzz 💤
phone ☎|telephone_receiver 📞|pager 📟|email ✉|envelope ✉|incoming_envelope 📨|inbox_tray 📥|outbox_tray 📤|package 📦|mailbox 📫
memo 📝|pencil 📝|pencil2 ✏|clipboard 📋|book 📖|books 📚|page_facing_up 📄|bookmark 🔖|link 🔗|paperclip 📎|file_folder 📁|open_file_folder 📂|wastebasket 🗑
chart_with_upwards_trend 📈|chart_with_downwards_trend 📉|bar_chart 📊|moneybag 💰|dollar 💵|money_with_wings 💸|credit_card 💳|receipt 🧾
hourglass ⌛|hourglass_flowing_sand ⏳|stopwatch ⏱|alarm_clock ⏰|clock1 🕐|clock3 🕒|timer_clock ⏲|calendar 📆|date 📅
gear ⚙|wrench 🔧|hammer 🔨|hammer_and_wrench 🛠|tools 🛠|toolbox 🧰|fire_engine 🚒|ambulance 🚑|helmet_with_white_cross ⛑|shield 🛡
lock 🔒|unlock 🔓|closed_lock_with_key 🔐|key 🔑|mag 🔍|mag_right 🔎|computer 💻|desktop_computer 🖥|floppy_disk 💾|electric_plug 🔌|satellite 🛰|bug 🐛|construction 🚧
arrow_up ⬆|arrow_down ⬇|arrow_right ➡|arrow_left ⬅|arrow_upper_right ↗|arrow_lower_right ↘|arrows_counterclockwise 🔄|repeat 🔁|leftwards_arrow_with_hook ↩|arrow_forward ▶|double_vertical_bar ⏸|black_square_for_stop ⏹|rewind ⏪|fast_forward ⏩
one 1⃣|two 2⃣|three 3⃣|four 4⃣|five 5⃣|bust_in_silhouette 👤|busts_in_silhouette 👥|speech_balloon 💬|thought_balloon 💭|globe_with_meridians 🌐|cloud ☁|sunny ☀|snowflake ❄|shopping_trolley 🛒|fox_face 🦊|new 🆕|ok 🆗
`;

const EMOJI = new Map(TABLE.trim().split(/[|\n]/).map((pair) => pair.trim().split(" ")));

export const emoji = (name) => EMOJI.get(name) ?? null;
