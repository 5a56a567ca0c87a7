%% JSON as scripts use it: objects are maps with binary keys, strings binaries, true, false and null atoms.
%% OTP has a json module only from 27 on.
-module(plain_json).
-export([decode/1, encode/1]).

decode(Text) ->
    {Value, _} = value(skip(Text)),
    Value.

encode(Value) when is_binary(Value) -> [$", escape(Value), $"];
encode(Value) when is_atom(Value) -> encode(atom_to_binary(Value));
encode(Value) when is_integer(Value) -> integer_to_binary(Value);
encode(Value) when is_list(Value) -> [$[, lists:join($,, [encode(Each) || Each <- Value]), $]];
encode(Value) when is_map(Value) ->
    [${, lists:join($,, [[encode(Key), $:, encode(Each)] || {Key, Each} <- maps:to_list(Value)]), $}].

escape(Text) ->
    binary:replace(binary:replace(Text, <<"\\">>, <<"\\\\">>, [global]), <<"\"">>, <<"\\\"">>, [global]).

value(<<$", Rest/binary>>) -> string(Rest, <<>>);
value(<<${, Rest/binary>>) -> object(skip(Rest), #{});
value(<<$[, Rest/binary>>) -> list(skip(Rest), []);
value(<<"true", Rest/binary>>) -> {true, Rest};
value(<<"false", Rest/binary>>) -> {false, Rest};
value(<<"null", Rest/binary>>) -> {null, Rest};
value(Text) -> number(Text, <<>>).

string(<<$", Rest/binary>>, Read) -> {Read, Rest};
string(<<$\\, $n, Rest/binary>>, Read) -> string(Rest, <<Read/binary, $\n>>);
string(<<$\\, Char, Rest/binary>>, Read) -> string(Rest, <<Read/binary, Char>>);
string(<<Char, Rest/binary>>, Read) -> string(Rest, <<Read/binary, Char>>).

object(<<$}, Rest/binary>>, Read) -> {Read, Rest};
object(<<$,, Rest/binary>>, Read) -> object(skip(Rest), Read);
object(<<$", Rest/binary>>, Read) ->
    {Key, AfterKey} = string(Rest, <<>>),
    <<$:, AfterColon/binary>> = skip(AfterKey),
    {Value, After} = value(skip(AfterColon)),
    object(skip(After), Read#{Key => Value}).

list(<<$], Rest/binary>>, Read) -> {lists:reverse(Read), Rest};
list(<<$,, Rest/binary>>, Read) -> list(skip(Rest), Read);
list(Text, Read) ->
    {Value, Rest} = value(Text),
    list(skip(Rest), [Value | Read]).

number(<<Char, Rest/binary>>, Read) when Char >= $0, Char =< $9; Char =:= $-; Char =:= $.; Char =:= $e ->
    number(Rest, <<Read/binary, Char>>);
number(Rest, Read) ->
    try {binary_to_integer(Read), Rest}
    catch error:badarg -> {binary_to_float(Read), Rest}
    end.

skip(<<Char, Rest/binary>>) when Char =:= 32; Char =:= $\n; Char =:= $\r; Char =:= $\t -> skip(Rest);
skip(Text) -> Text.
